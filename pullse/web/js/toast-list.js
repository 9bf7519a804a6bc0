/* <toast-list role="status">: what was just done, and how to take it back. On document:
   new CustomEvent('toast', { detail: { text, action: { label, run }, kind: 'done' | 'wrong' } }).
   Three at most, one of them with something to do; each goes by itself, but not while somebody
   looks at it or is in it. */

import { word } from './words.js'

const MOST = 3
const SHORT = 6000
const LONG = 12_000
/* With something to do in it, or to understand. */

class ToastList extends HTMLElement {
  #timers = new Map()

  // Lifecycle

  connectedCallback() {
    document.addEventListener('toast', this)
    for (const name of ['pointerenter', 'focusin']) this.addEventListener(name, () => this.#hold())
    for (const name of ['pointerleave', 'focusout']) this.addEventListener(name, () => this.#letGo())
    this.addEventListener('keydown', ({ key, target }) => key === 'Escape' && this.#close(target.closest('.toast')))
  }

  disconnectedCallback() {
    document.removeEventListener('toast', this)
    this.#hold()
  }

  // Actions

  handleEvent({ detail }) {
    const toast = this.#made(detail)
    if (detail.action) this.#close(this.querySelector('.toast__do')?.closest('.toast'))
    this.append(toast)
    while (this.children.length > MOST) this.#close(this.firstElementChild)
    this.#timers.set(toast, null)
    if (!this.matches(':hover, :focus-within')) this.#begin(toast)
  }

  // Private

  #made({ text, action, kind = 'done' }) {
    const toast = document.getElementById('live-toast').content.firstElementChild.cloneNode(true)
    const [run, close] = toast.querySelectorAll('button')
    toast.dataset.kind = kind
    toast.querySelector('p').textContent = text
    toast.dataset.long = Boolean(action) || kind === 'wrong'
    close.setAttribute('aria-label', word('close'))
    close.addEventListener('click', () => this.#close(toast))
    if (!action) run.remove()
    else run.textContent = action.label
    run.addEventListener('click', () => this.#run(toast, action))
    return toast
  }

  #run(toast, action) {
    this.#close(toast)
    action.run()
  }

  #begin(toast) {
    const time = toast.dataset.long === 'true' ? LONG : SHORT
    this.#timers.set(toast, setTimeout(() => this.#close(toast), time))
  }

  #close(toast) {
    if (!toast) return
    clearTimeout(this.#timers.get(toast))
    this.#timers.delete(toast)
    toast.remove()
  }

  #hold() {
    this.#timers.forEach((timer) => clearTimeout(timer))
  }

  #letGo() {
    if (!this.matches(':hover, :focus-within')) [...this.#timers.keys()].forEach((each) => this.#begin(each))
  }
}

customElements.define('toast-list', ToastList)
