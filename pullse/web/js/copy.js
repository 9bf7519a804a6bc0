/* <copy-text for="id"><button>Copy</button></copy-text>: puts the text of another element where
   the next paste takes it from. Without a script, or over plain HTTP, there is no button. */

class CopyText extends HTMLElement {
  // Lifecycle

  connectedCallback() {
    if (!navigator.clipboard) return
    this.hidden = false
    this.addEventListener('click', this)
  }

  disconnectedCallback() {
    this.removeEventListener('click', this)
  }

  // Actions

  async handleEvent() {
    await navigator.clipboard.writeText(this.#text)
    this.#label.textContent = this.dataset.done
  }

  // Private

  get #text() {
    return document.getElementById(this.getAttribute('for')).textContent.trim()
  }

  get #label() {
    return this.querySelector('button span')
  }
}

customElements.define('copy-text', CopyText)
