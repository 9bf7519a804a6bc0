/* Which tab of a browser holds the stream: the one that has the lock, until it is closed, put away
   or does not answer. Without locks (plain HTTP under a name) each tab holds its own while it is
   seen, so that those behind do not take all six connections. */

const PUT_AWAY = 30_000
/* Milliseconds that a tab without locks may be hidden before it lets go. */

export class Turn {
  #name
  #lead
  #now = null
  #hidden

  /** `lead(signal)` is run while it is this tab's turn, and ends when the signal says so. */
  constructor(name, lead) {
    this.#name = name
    this.#lead = lead
  }

  // Lifecycle

  start() {
    if (!navigator.locks) document.addEventListener('visibilitychange', () => this.#look())
    addEventListener('pagehide', () => this.#leave())
    addEventListener('pageshow', () => this.#join())
    document.addEventListener('freeze', () => this.#leave())
    document.addEventListener('resume', () => this.#join())
    this.#join()
  }

  // Actions

  /** The one who has it does not answer. */
  steal() {
    if (!navigator.locks) return
    this.#leave()
    this.#queue({ steal: true })
  }

  // Private

  #join() {
    if (this.#now) return
    if (navigator.locks) this.#queue()
    else if (!document.hidden) this.#begin()
  }

  #leave() {
    this.#now?.abort()
    this.#now = null
  }

  #queue(options) {
    const now = (this.#now = new AbortController())
    const lead = () => now.signal.aborted || this.#lead(now.signal)
    navigator.locks.request(this.#name, options ?? { signal: now.signal }, lead).catch(() => {
      now.abort()
      if (this.#now === now) this.#queue() // it was stolen
    })
  }

  #begin() {
    this.#now = new AbortController()
    this.#lead(this.#now.signal)
  }

  #look() {
    clearTimeout(this.#hidden)
    if (document.hidden) this.#hidden = setTimeout(() => this.#leave(), PUT_AWAY)
    else this.#join()
  }
}
