/* <pass-key do="enter|add">: a button that signs in with a passkey, or makes one.
   It stays hidden where the browser has none. What goes wrong is said in words that the page
   brings along: data-failed, data-unknown, data-elsewhere. */

const JSON_HEAD = { 'Content-Type': 'application/json' }

class PassKey extends HTMLElement {
  // Lifecycle

  connectedCallback() {
    if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) return
    this.hidden = false
    this.addEventListener('submit', this)
  }

  disconnectedCallback() {
    this.removeEventListener('submit', this)
  }

  async handleEvent(event) {
    event.preventDefault()
    this.#say('')
    this.#button.disabled = true
    try {
      await (this.getAttribute('do') === 'add' ? this.add() : this.enter())
    } catch (error) {
      this.#say(error.sentence ?? this.dataset.failed)
    } finally {
      this.#button.disabled = false
    }
  }

  // Actions

  async enter() {
    const { options } = await this.#post('/api/session/passkey/options', {})
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options)
    const credential = await navigator.credentials.get({ publicKey })
    await this.#post('/api/session/passkey', { credential: credential.toJSON() })
    location.assign(this.dataset.next)
  }

  async add() {
    const { password, name } = this.#typed
    const { options } = await this.#post('/api/passkeys/options', password ? { password } : {})
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options)
    const credential = await navigator.credentials.create({ publicKey })
    const made = { credential: credential.toJSON(), ...(name ? { name } : {}) }
    await this.#post('/api/passkeys', made)
    location.assign(this.dataset.next)
  }

  // Private

  async #post(path, body) {
    const answer = await fetch(path, { method: 'POST', headers: JSON_HEAD, body: JSON.stringify(body) })
    const { data, message, code } = await answer.json()
    if (answer.ok) return data
    const known = { wrong_passkey: this.dataset.unknown, no_passkeys_here: this.dataset.elsewhere }
    throw Object.assign(new Error(code), { sentence: known[code] ?? message })
  }

  #say(text) {
    const place = this.querySelector('[role=alert]')
    place.textContent = text
    place.hidden = !text
  }

  get #typed() {
    return Object.fromEntries(new FormData(this.querySelector('form')))
  }

  get #button() {
    return this.querySelector('button')
  }
}

customElements.define('pass-key', PassKey)
