/* When to try again at once, and when to doubt that there is a leader: a tab that sleeps, or is
   frozen behind, does not answer, and then one that is seen takes over. */

import { shown } from './place.js'

const LOOK = 5000
const SILENCE = 15_000
const ANSWER = 3000
const SLEPT = 90_000

export class Lookout {
  #leader
  #post
  #heardAt = Date.now()
  #lookedAt = Date.now()

  constructor(leader, post) {
    this.#leader = leader
    this.#post = post
  }

  // Lifecycle

  start() {
    for (const name of ['online', 'offline']) addEventListener(name, () => this.retry())
    addEventListener('pageshow', () => this.#post({ kind: 'hello' }))
    document.addEventListener('signed-in', () => this.retry())
    document.addEventListener('visibilitychange', () => this.#look())
    setInterval(() => this.#look(), LOOK)
  }

  // Actions

  heard() {
    this.#heardAt = Date.now()
  }

  retry() {
    if (this.#leader.isLeading) this.#leader.retry()
    else this.#post({ kind: 'retry' })
  }

  // Private

  #look() {
    const now = Date.now()
    const hasSlept = now - this.#lookedAt > SLEPT
    this.#lookedAt = now
    if (this.#leader.isLeading) return hasSlept && this.#leader.retry()
    if (document.hidden) return
    if (shown() === 'cut') this.#post({ kind: 'retry' })
    else if (now - this.#heardAt > SILENCE) this.#ask(now)
  }

  #ask(now) {
    this.#post({ kind: 'hello' })
    setTimeout(() => this.#heardAt < now && this.#leader.takeOver(), ANSWER)
  }
}
