/* A WebSocket that speaks JSON, and is given up when nothing is heard for too long. */

const GRACE = 10_000
/* Milliseconds beyond the time in which the other side promises to say that it is there. */

export class SocketLine {
  #socket
  #timer
  idle = 15_000

  constructor(address, heard) {
    this.#socket = new WebSocket(address)
    this.#listen()
    this.#socket.addEventListener('message', ({ data }) => {
      this.#listen()
      heard(JSON.parse(data))
    })
  }

  // Actions

  /** Until it is closed, by whichever side. */
  get ended() {
    const socket = this.#socket
    if (socket.readyState === WebSocket.CLOSED) return Promise.resolve()
    return new Promise((resolve) => socket.addEventListener('close', resolve))
  }

  send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message))
  }

  close() {
    clearTimeout(this.#timer)
    this.#socket.close()
  }

  // Private

  #listen() {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.close(), this.idle + GRACE)
  }
}
