/* What the leader tells, here and to the other tabs: `fact`, `caught-up`, `start-over`, and `here`
   with its state and place. */

import { show, shown, tell } from './place.js'

export class Teller {
  #place
  #post
  #said

  constructor(place, post) {
    this.#place = place
    this.#post = post
  }

  // Actions

  /** Whom we tell has had all up to `before`. */
  fact(fact) {
    const before = this.#said
    this.#said = fact.cursor
    this.#place.fact(fact)
    this.#post({ kind: 'fact', fact, before })
  }

  startOver(cursor) {
    this.#said = cursor
    this.#place.startOver(cursor)
    this.#say('start-over')
  }

  caughtUp() {
    tell('caught-up')
    this.#say('caught-up')
  }

  show(state) {
    show(state)
    this.here()
  }

  here() {
    this.#say('here')
  }

  /** From now on it is this tab that tells. */
  begin() {
    this.#said = this.#place.cursor
  }

  // Private

  #say(kind) {
    this.#post({ kind, cursor: this.#said, state: shown() })
  }
}
