/* Who is present on a channel, by what the server tells: single changes, and now and then the whole
   in pages (SYNC). What is older than what is known already does not count. */

const ABSENT = 0
const LEAVE = 3

export class Members {
  #known = new Map()
  #synced = null

  // Actions

  /** Attached: whoever is there is told in pages, or nobody is. */
  begin(hasMembers) {
    this.#known.clear()
    this.#synced = hasMembers ? new Set() : null
  }

  change(presence, { timestamp }) {
    presence.forEach((each) => this.#take({ timestamp, ...each }))
  }

  /** A page of all who are there; whoever is in none of them, and did not come since, has left. */
  sync(presence, message) {
    this.#synced ??= new Set()
    this.change(presence, message)
    if (message.channelSerial && !message.channelSerial.endsWith(':')) return
    this.#known.forEach(({ isGone }, key) => (isGone || !this.#synced.has(key)) && this.#known.delete(key))
    this.#synced = null
  }

  /** `{clientId, data}` of each connection. */
  get all() {
    return [...this.#known.values()].filter(({ isGone }) => !isGone)
  }

  // Private

  #take({ action, clientId, connectionId, timestamp = 0, data, encoding }) {
    const key = keyOf({ clientId, connectionId })
    if (this.#known.get(key)?.timestamp > timestamp) return
    const isGone = action === LEAVE || action === ABSENT
    if (isGone && !this.#synced) return this.#known.delete(key)
    this.#synced?.add(key)
    this.#known.set(key, { clientId, timestamp, isGone, data: parsed(data, encoding) })
  }
}

function keyOf({ clientId, connectionId }) {
  return `${connectionId}:${clientId}`
}

/** Anybody may say anything here: it is an object, or nothing. */
function parsed(data, encoding) {
  try {
    const found = encoding === 'json' ? JSON.parse(data) : data
    return found && typeof found === 'object' ? found : {}
  } catch {
    return {}
  }
}
