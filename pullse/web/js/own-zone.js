/* Offers the time zone of this browser where another one is set. */

customElements.define('own-zone', class extends HTMLElement {
  // Lifecycle

  connectedCallback() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
    if (!zone || zone === this.#field.value) return
    this.querySelector('[data-zone]').textContent = zone
    this.addEventListener('click', this)
    this.hidden = false
  }

  handleEvent() {
    this.take()
  }

  // Actions

  take() {
    this.#field.value = this.querySelector('[data-zone]').textContent
    this.#field.focus()
    this.hidden = true
  }

  // Private

  get #field() {
    return document.getElementById(this.getAttribute('for'))
  }
})
