/* A menu, which is a `details`, closes as one expects: by Escape, by a click elsewhere, and when the
   focus has gone on. Without this it closes by its own button alone. */

customElements.define('drop-down', class extends HTMLElement {
  // Lifecycle

  connectedCallback() {
    this.addEventListener('keydown', this)
    this.addEventListener('focusout', this)
    document.addEventListener('pointerdown', this)
  }

  disconnectedCallback() {
    document.removeEventListener('pointerdown', this)
  }

  handleEvent(event) {
    this[`${event.type}`](event)
  }

  // Actions

  keydown(event) {
    if (event.key !== 'Escape' || !this.#menu.open) return
    event.preventDefault()
    event.stopPropagation()
    this.#close()
    this.#menu.querySelector('summary').focus()
  }

  focusout(event) {
    if (event.relatedTarget && !this.contains(event.relatedTarget)) this.#close()
  }

  pointerdown(event) {
    if (!this.contains(event.target)) this.#close()
  }

  // Private

  get #menu() {
    return this.querySelector('details')
  }

  #close() {
    this.#menu.open = false
  }
})
