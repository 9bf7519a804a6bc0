/* Being present on one channel, by a small part of Ably's public protocol: connect, attach, enter,
   hear who else is there; after each cut from the start again. */

import { Members } from './members.js'
import { Pause } from './pause.js'
import { door, tokenFor } from './realtime-door.js'
import { SocketLine } from './socket-line.js'

const [CONNECTED, DISCONNECTED, CLOSE, ERROR, ATTACH, ATTACHED] = [4, 6, 7, 9, 10, 11]
const [PRESENCE, SYNC, AUTH, ENTER, UPDATE] = [14, 16, 17, 2, 4]
const MODES = (1 << 16) | (1 << 19) // to be present, and to hear of others
const [HAS_MEMBERS, LATER] = [1, 60_000]

export class PresenceChannel {
  #name
  #data
  #changed
  #line = null
  #serial = 0
  #isIn = false
  #members = new Members()
  #pause = new Pause()
  #leaving = new AbortController()

  /** `changed(members)` whenever somebody comes, goes, or does something else. */
  constructor(name, data, changed) {
    this.#name = name
    this.#data = data
    this.#changed = changed
  }

  // Actions

  async open() {
    const { signal } = this.#leaving
    while (!signal.aborted) {
      const wait = await this.#connect(signal).then(() => 0, ({ status }) => (status ? LATER : 0))
      await this.#pause.next(signal, wait)
    }
  }

  close() {
    this.#leaving.abort()
    this.#line?.send({ action: CLOSE })
    this.#line?.close()
  }

  /** What this page does now. */
  say(data) {
    this.#data = data
    if (this.#isIn) this.#tell(UPDATE)
  }

  retry() { this.#pause.wake() }

  // Private

  async #connect(signal) {
    const address = await door((await tokenFor(this.#name)).token)
    if (signal.aborted) return
    this.#serial = 0
    this.#line = new SocketLine(address, (message) => this.#hear(message))
    await this.#line.ended
    this.#line.close()
    this.#isIn = false
  }

  #hear(message) {
    const { action, presence = [] } = message
    if (action === CONNECTED) this.#attach(message)
    if (action === ATTACHED) this.#enter(message)
    if (action === AUTH) this.#renew()
    if (action === PRESENCE) this.#members.change(presence, message)
    if (action === SYNC) this.#members.sync(presence, message)
    if (action === PRESENCE || action === SYNC) this.#changed(this.#members.all)
    if (action === DISCONNECTED || action === ERROR) this.#line.close()
  }

  #attach({ connectionDetails }) {
    this.#line.idle = connectionDetails?.maxIdleInterval || this.#line.idle
    if (!this.#isIn) this.#line.send({ action: ATTACH, channel: this.#name, flags: MODES })
  }

  #enter({ flags }) {
    this.#pause.reset()
    this.#members.begin((flags & HAS_MEMBERS) > 0)
    this.#isIn = true
    this.#tell(ENTER)
  }

  #tell(action) {
    const presence = [{ action, data: JSON.stringify(this.#data), encoding: 'json' }]
    this.#line.send({ action: PRESENCE, channel: this.#name, msgSerial: this.#serial++, presence })
  }

  async #renew() {
    const { token } = await tokenFor(this.#name).catch(() => ({}))
    if (token) this.#line.send({ action: AUTH, auth: { accessToken: token } })
  }
}
