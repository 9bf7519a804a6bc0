/* What has a key or is a command: finding it, naming it, pressing it. In the markup `data-key` is a
   key as it is typed (s, ?, Escape), keys one after the other (g o), or one for fields too
   (Mod+Enter, where Mod is Ctrl, or Command on a Mac). */

const TYPED = 'textarea, select, input:not([type=checkbox], [type=radio], [type=button], [type=submit], [type=reset])'
const ROLES = '[role=textbox], [role=combobox], [role=listbox], [role=menu], [role=application]'
const FIELD = `${TYPED}, ${ROLES}, [contenteditable]:not([contenteditable=false])`
const SWITCH = 'pullse.single-keys'

export const isMac = /mac|iphone|ipad/i.test(navigator.userAgentData?.platform ?? navigator.platform)

/** Where letters are typed, or mean something already; not where a dialog was closed this very frame. */
export const isField = (node) => Boolean(node?.closest?.(FIELD)?.checkVisibility())

/** What is in a menu that is not open can be pressed all the same. */
export const isUsable = (node) =>
  !node.matches(':disabled, [aria-disabled=true]') &&
  !node.closest('[inert], [hidden]') &&
  (node.checkVisibility({ visibilityProperty: true }) || Boolean(node.closest('[popover]')))

export const currentRow = () => document.activeElement?.closest('[data-row]')

/** The key of an event as `data-key` has it; none for what is not for us. */
export function keyOf(event) {
  if (event.isComposing || event.keyCode === 229 || event.altKey) return null
  const isMod = isMac ? event.metaKey : event.ctrlKey
  if (isMac ? event.ctrlKey : event.metaKey) return null
  const isLetter = /^Key[A-Z]$/.test(event.code) && event.key.length === 1
  // A Greek or Russian keyboard has its letters where the Latin ones are.
  let key = isLetter && event.key > '~' ? event.code.slice(3).toLowerCase() : event.key
  if (isLetter) key = event.shiftKey ? key.toUpperCase() : key.toLowerCase()
  return isMod ? `Mod+${key}` : key
}

/** Of several with one key: the one in the row that one is in, in what is open, in the page, in the frame. */
export function withKey(key, scope = document) {
  const found = all(`[data-key="${CSS.escape(key)}"]`, scope)
  const row = currentRow()
  const ranks = [(node) => row?.contains(node), (node) => !node.closest('[data-row]') && node.closest('main, dialog'), (node) => !node.closest('[data-row]')]
  return ranks.map((fits) => found.find(fits)).find(Boolean)
}

export const all = (selector, scope = document) => [...scope.querySelectorAll(selector)].filter(isUsable)

export function nameOf(node) {
  const text = node.dataset.command || node.ariaLabel || node.labels?.[0]?.textContent || node.title || node.textContent
  return text.replace(/\s+/g, ' ').trim()
}

/** What stands on the keys; in the language of the page, which <key-help> knows. */
export function caps(key = '') {
  const names = document.querySelector('key-help')?.dataset
  const all = document.createDocumentFragment()
  for (const each of key.split(/[ +]/).filter(Boolean)) {
    const cap = document.createElement('kbd')
    cap.textContent = { Escape: names.escape, Mod: isMac ? '⌘' : names.control }[each] ?? each
    all.append(cap, ' ')
  }
  return all
}

/** What a click would do, or where one types, be there. */
export function press(node) {
  if (!node.matches(TYPED)) return node.click()
  if (!node.checkVisibility()) node.closest('[popover]')?.showPopover()
  node.focus()
  if (node.matches('select')) showChoices(node)
  else node.select?.()
}

/** Tells those who hear the page: `aria-keyshortcuts`, which knows no keys one after the other. */
export function announce() {
  for (const node of document.querySelectorAll('[data-key]:not([data-key*=" "])')) {
    const key = node.dataset.key.replace('Mod+', isMac ? 'Meta+' : 'Control+')
    const isOn = key.length > 1 || single.areOn
    if (node.ariaKeyShortcuts === (isOn ? key : null)) continue
    if (isOn) node.setAttribute('aria-keyshortcuts', key)
    else node.removeAttribute('aria-keyshortcuts')
  }
}

/** May single keys do anything? Whoever speaks to the computer can switch them off (WCAG 2.1.4). */
export const single = {
  get areOn() {
    return globalThis.localStorage?.getItem(SWITCH) !== 'off'
  },
  set areOn(areOn) {
    if (areOn) localStorage.removeItem(SWITCH)
    else localStorage.setItem(SWITCH, 'off')
    announce()
  },
}

function showChoices(select) {
  try {
    select.showPicker()
  } catch {
    // An older browser, or not by a person's own hand: the arrows choose all the same.
  }
}
