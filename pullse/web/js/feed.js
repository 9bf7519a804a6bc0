/* What happens, told to every page as events on document: `fact` for each fact, in order, once and
   without gaps; `caught-up` when all that is shown is to be read anew; `feed` when the state of the
   connection changes. One tab of a browser has the stream and hands facts on (leader.js); each tab
   goes by its own cursor, and reads by itself what it missed. */

import { isBehind, isOfOtherLife } from './cursor.js'
import { Leader } from './leader.js'
import { Lookout } from './lookout.js'
import { Place, show, tell } from './place.js'

const WAITING = 500
const AGAIN = 3000

class Feed {
  #place
  #leader
  #lookout
  #waiting = null
  #isLate = false

  constructor(cursor, agent) {
    const name = `pullse:feed:${agent}`
    const channel = new BroadcastChannel(name)
    this.#place = new Place(cursor)
    const post = (message) => channel.postMessage(message)
    this.#leader = new Leader(name, this.#place, post)
    this.#lookout = new Lookout(this.#leader, post)
    channel.onmessage = ({ data }) => this.#hear(data)
  }

  // Lifecycle

  start() {
    addEventListener('pageshow', ({ persisted }) => (this.#isLate ||= persisted))
    this.#leader.start()
    this.#lookout.start()
  }

  // Private

  #hear({ kind, fact, before, cursor, state }) {
    if (kind === 'hello' || kind === 'retry') return this.#leader.asked()
    this.#lookout.heard()
    if (kind === 'caught-up') this.#caughtUp()
    if (kind === 'start-over') this.#place.startOver(cursor)
    if (kind === 'fact') this.#take(fact, before)
    if (kind !== 'here') return
    if (isOfOtherLife(this.#place.cursor, cursor)) this.#place.startOver(cursor)
    else if (isBehind(this.#place.cursor, cursor) || this.#isLate) this.#mend()
    if (state) show(state)
  }

  /** `before` is the last that the leader told: nothing of ours lies between. */
  #take(fact, before) {
    const { cursor } = this.#place
    if (this.#waiting) this.#waiting.length < WAITING && this.#waiting.push([fact, before])
    else if (isOfOtherLife(cursor, fact.cursor)) this.#place.startOver(fact.cursor)
    else if (isBehind(cursor, before)) this.#mend()
    else this.#place.fact(fact)
  }

  /** Read what was missed; what is told meanwhile waits, and what finds no room is read later. */
  async #mend() {
    if (this.#waiting) return
    this.#waiting = []
    const told = (fact) => this.#place.fact(fact)
    const isRead = await this.#place.readOn(told).then(() => true, () => false)
    const waiting = this.#waiting
    this.#waiting = null
    if (!isRead) return setTimeout(() => this.#mend(), AGAIN)
    waiting.forEach((each) => this.#take(...each))
    if (this.#isLate) this.#caughtUp()
  }

  #caughtUp() {
    this.#isLate = this.#waiting !== null
    if (!this.#isLate) tell('caught-up')
  }
}

const meta = (name) => document.querySelector(`meta[name=${name}]`)?.content
if (meta('feed')) new Feed(meta('feed'), meta('agent')).start()
