/* <pass-key do="enter|add|link">: a form that signs in with a passkey, makes one, or makes one by
   a link in the place of a password. Hidden where the browser has none. What goes wrong is said
   in words that the page brings along: data-failed, data-unknown, data-elsewhere. */

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
      await this[this.getAttribute('do')]()
      location.assign(this.dataset.next)
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
  }

  async add() {
    const typed = this.querySelector('form')
    const credential = await this.#made('/api/passkeys/options', this.#filled(typed, ['password']))
    await this.#post('/api/passkeys', { credential, ...this.#filled(typed, ['name']) })
  }

  async link() {
    const person = this.#filled(document.getElementById('person'), ['name', 'email'])
    const credential = await this.#made(`${this.dataset.at}/options`, person)
    await this.#post(this.dataset.at, { credential, ...person })
  }

  // Private

  async #made(path, body) {
    const { options } = await this.#post(path, body)
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options)
    return (await navigator.credentials.create({ publicKey })).toJSON()
  }

  async #post(path, body) {
    const answer = await fetch(path, { method: 'POST', headers: JSON_HEAD, body: JSON.stringify(body) })
    const { data, message, code } = await answer.json()
    if (answer.ok) return data
    const known = { wrong_passkey: this.dataset.unknown, no_passkeys_here: this.dataset.elsewhere }
    throw Object.assign(new Error(code), { sentence: known[code] ?? message })
  }

  #filled(form, names) {
    const given = [...new FormData(form)].filter(([name, text]) => names.includes(name) && text)
    return Object.fromEntries(given)
  }

  #say(text) {
    const place = this.querySelector('[role=alert]')
    place.textContent = text
    place.hidden = !text
  }

  get #button() {
    return this.querySelector('button')
  }
}

customElements.define('pass-key', PassKey)
