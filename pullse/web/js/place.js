/* A tab's own place in the feed: each fact is told once, by whichever way it comes, as an event on
   document. */

import { isBehind } from './cursor.js'
import { Cut, page } from './stream.js'

const PAGES = 10
/* Of 200 facts that were missed; who missed more goes on from the end, and reads all anew. */

export class Place {
  constructor(cursor) {
    this.cursor = cursor
  }

  // Actions

  fact(fact) {
    if (!isBehind(this.cursor, fact.cursor)) return
    this.cursor = fact.cursor
    tell('fact', fact)
  }

  /** All facts up to the end; true where they were too many, or the place is gone. */
  async readOn(told, signal) {
    try {
      for (let count = 0; count < PAGES; count++) {
        const found = await page(this.cursor, signal)
        found.records.forEach(told)
        if (isBehind(this.cursor, found.cursor)) this.cursor = found.cursor
        if (!found.next_cursor) return false
      }
    } catch (error) {
      if (!(error instanceof Cut) || error.status !== 410) throw error
    }
    this.startOver((await page('now', signal)).cursor)
    return true
  }

  startOver(cursor) {
    if (this.cursor === cursor) return
    this.cursor = cursor
    tell('caught-up')
  }
}

export function tell(name, detail) {
  document.dispatchEvent(new CustomEvent(name, { detail }))
}

/** Of the connection: `live`, `cut` (and trying again), `signed-out` or `refused`. */
export function show(state) {
  if (shown() === state) return
  document.documentElement.dataset.feed = state
  tell('feed', { state })
}

export function shown() {
  return document.documentElement.dataset.feed
}
