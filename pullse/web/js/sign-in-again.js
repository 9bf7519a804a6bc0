/* <sign-in-again>: the session has ended. What stands on the page stays; a dialog asks for the
   password, then what was to be sent is sent. Who is somebody else now gets pages of their own. */

import { agent, here } from './here.js'
import { onSignIn, tellSignedIn } from './session.js'

const JSON_HEAD = { 'Content-Type': 'application/json' }
const READ = 4000

class SignInAgain extends HTMLElement {
  #events = new AbortController()

  // Lifecycle

  connectedCallback() {
    const options = { signal: this.#events.signal }
    document.addEventListener('sign-in-needed', () => this.open(), options)
    document.addEventListener('feed', ({ detail }) => this.#look(detail.state), options)
    document.addEventListener('other-agent', () => this.#leave(), options)
    onSignIn(() => this.#dialog?.open && this.check())
  }

  disconnectedCallback() {
    this.#events.abort()
  }

  // Actions

  open() {
    if (!this.#dialog) this.#prepare()
    if (!this.#dialog.open) this.#dialog.showModal()
    this.#form.elements[this.#form.elements.email.value ? 'password' : 'email'].focus()
  }

  /** Somebody is signed in: is it the one whose page this is? */
  async check() {
    const found = await here()
    if (!found) return
    if (found.agent !== agent) return this.#leave()
    this.#dialog?.close('done')
    tellSignedIn()
  }

  // Private

  #prepare() {
    this.append(this.querySelector('template').content.cloneNode(true))
    this.#form.addEventListener('submit', (event) => this.#send(event))
    this.#dialog.addEventListener('close', () => this.#closed())
    this.querySelector('[data-later]').addEventListener('click', () => this.#dialog.close())
  }

  async #send(event) {
    event.preventDefault()
    const body = JSON.stringify(Object.fromEntries([...new FormData(this.#form)].filter(([, text]) => text)))
    const options = { method: 'POST', headers: JSON_HEAD, body }
    const answer = await fetch('/api/session', options).catch(() => null)
    if (answer?.ok) return this.check()
    const { code } = answer ? await answer.json().catch(() => ({})) : {}
    if (code === 'code_needed' || code === 'wrong_code') this.querySelector('[data-code]').hidden = false
    this.#say(this.dataset[code] ?? this.dataset[answer ? 'failed' : 'offline'])
    this.#form.elements[code === 'code_needed' || code === 'wrong_code' ? 'code' : 'password'].focus()
  }

  #look(state) {
    if (state === 'live' && this.#dialog?.open) this.check()
    const isTyping = document.activeElement?.matches('input, textarea, select, [contenteditable]')
    if (state === 'signed-out' && !isTyping) this.open()
  }

  #leave() {
    if (!this.#dialog) this.#prepare()
    if (!this.#dialog.open) this.#dialog.showModal()
    this.#form.hidden = true
    this.#say(this.dataset.other)
    setTimeout(() => location.reload(), READ)
  }

  #closed() {
    this.#form.reset()
    this.#say('')
    if (this.#dialog.returnValue !== 'done') document.dispatchEvent(new CustomEvent('sign-in-put-off'))
    this.#dialog.returnValue = ''
  }

  #say(text) {
    const place = this.querySelector('[role=alert]')
    place.textContent = text
    place.hidden = !text
  }

  get #dialog() { return this.querySelector('dialog') }

  get #form() { return this.querySelector('form') }
}

customElements.define('sign-in-again', SignInAgain)
