/* Waiting before the next attempt: longer each time, never at the same moment as others, and over
   at once when there is a reason to hope. */

const FIRST = 500
const LONGEST = 15_000

export class Pause {
  #tries = 0
  #wake = () => {}

  // Actions

  /** It worked: the next pause is short again. */
  reset() {
    this.#tries = 0
  }

  /** At least `least` milliseconds; for ever, where only a reason to hope helps. */
  async next(signal, least = 0) {
    const usual = Math.min(FIRST * 2 ** this.#tries++, LONGEST) * (0.5 + Math.random())
    if (signal.aborted) return
    await new Promise((resolve) => {
      const time = Math.max(usual, least)
      const timer = Number.isFinite(time) ? setTimeout(resolve, time) : undefined
      this.#wake = () => { clearTimeout(timer); resolve() }
      signal.addEventListener('abort', this.#wake, { once: true })
    })
    signal.removeEventListener('abort', this.#wake)
  }

  wake() {
    this.#wake()
  }
}
