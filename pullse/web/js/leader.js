/* The tab that has the stream for all tabs of a browser. What it tells the others: `fact`,
   `caught-up`, `start-over`, and `here` with its state and place; what they ask: `hello`, when they
   open, and `retry`. */

import { Lookout } from './lookout.js'
import { Pause } from './pause.js'
import { show, shown, tell } from './place.js'
import { Cut, follow } from './stream.js'
import { Turn } from './turn.js'

const LATER = 60_000

export class Leader {
  #place
  #post
  #lookout
  #turn
  #pause = new Pause()
  #attempt = null
  #isFresh = true
  #said

  constructor(name, place, post) {
    this.#place = place
    this.#post = post
    this.#turn = new Turn(name, (signal) => this.#lead(signal))
    this.#lookout = new Lookout(this, this.#turn, post)
  }

  // Lifecycle

  start() {
    this.#turn.start()
    this.#lookout.start()
  }

  // Actions

  get isLeading() {
    return this.#attempt !== null
  }

  /** Is this for a leader? */
  hear({ kind }) {
    const isAsked = kind === 'hello' || kind === 'retry'
    if (!isAsked) this.#lookout.heard()
    if (!isAsked || !this.isLeading) return isAsked
    if (shown() !== 'live') this.#pause.wake()
    this.#say('here')
    return true
  }

  /** There is a reason to hope, or to doubt. */
  retry() {
    this.#attempt.abort(new Cut(0))
    this.#pause.wake()
  }

  // Private

  async #lead(signal) {
    this.#said = this.#place.cursor
    while (!signal.aborted) {
      this.#attempt = new AbortController()
      const both = AbortSignal.any([signal, this.#attempt.signal])
      const wait = await this.#hold(both).then(() => 0, (error) => this.#failed(error, signal))
      this.#isFresh = false
      await this.#pause.next(signal, wait)
    }
    this.#attempt = null
  }

  async #hold(signal) {
    const late = !this.#isFresh
    const pass = (fact) => this.#pass(fact)
    if (late && (await this.#place.readOn(pass, signal))) this.#startOver(this.#place.cursor)
    const opened = () => this.#opened(late)
    const heard = (name, id, data) => (name === 'message' ? pass(JSON.parse(data)) : this.#startOver(id))
    await follow(this.#place.cursor, { signal, opened, heard })
  }

  #opened(late) {
    this.#pause.reset()
    this.#show('live')
    if (!late) return
    tell('caught-up')
    this.#say('caught-up')
  }

  #failed(error, signal) {
    if (signal.aborted) return 0
    const state = { 401: 'signed-out', 403: 'refused' }[error.status] ?? 'cut'
    this.#show(state)
    return { cut: error.wait ?? 0, refused: LATER }[state] ?? Infinity
  }

  /** Whom we tell has had all up to `before`. */
  #pass(fact) {
    const before = this.#said
    this.#said = fact.cursor
    this.#place.fact(fact)
    this.#post({ kind: 'fact', fact, before })
  }

  #startOver(cursor) {
    this.#said = cursor
    this.#place.startOver(cursor)
    this.#say('start-over')
  }

  #show(state) {
    show(state)
    this.#say('here')
  }

  #say(kind) {
    this.#post({ kind, cursor: this.#said, state: shown() })
  }
}
