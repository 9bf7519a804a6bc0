/* The tab that has the stream for all tabs of a browser: it follows, and where it is cut tries again,
   first reading what it missed. The others ask it by `hello`, when they open, and `retry`. */

import { Pause } from './pause.js'
import { shown } from './place.js'
import { Cut, follow } from './stream.js'
import { Teller } from './teller.js'
import { Turn } from './turn.js'

const STATES = { 401: ['signed-out', Infinity], 403: ['refused', 60_000] }
/* And how long to wait: where only signing in helps, until then. */

export class Leader {
  #place
  #teller
  #turn
  #pause = new Pause()
  #attempt = null
  #isFresh = true

  constructor(name, place, post) {
    this.#place = place
    this.#teller = new Teller(place, post)
    this.#turn = new Turn(name, (signal) => this.#lead(signal))
  }

  // Lifecycle

  start() {
    this.#turn.start()
  }

  // Actions

  get isLeading() {
    return this.#attempt !== null
  }

  /** Somebody is here, and hopes. */
  asked() {
    if (!this.isLeading) return
    if (shown() !== 'live') this.#pause.wake()
    this.#teller.here()
  }

  /** There is a reason to hope, or to doubt. */
  retry() {
    this.#attempt.abort(new Cut(0))
    this.#pause.wake()
  }

  takeOver() {
    if (!this.isLeading) this.#turn.steal()
  }

  // Private

  async #lead(signal) {
    this.#teller.begin()
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
    const isLate = !this.#isFresh
    const fact = (given) => this.#teller.fact(given)
    const over = (cursor) => this.#teller.startOver(cursor)
    if (isLate && (await this.#place.readOn(fact, signal))) over(this.#place.cursor)
    await follow(this.#place.cursor, { signal, opened: () => this.#opened(isLate), fact, over })
  }

  #opened(isLate) {
    this.#pause.reset()
    this.#teller.show('live')
    if (isLate) this.#teller.caughtUp()
  }

  #failed(error, signal) {
    if (signal.aborted) return 0
    const [state, wait] = STATES[error.status] ?? ['cut', error.wait ?? 0]
    this.#teller.show(state)
    return wait
  }
}
