/* What the palette offers of a page, and how well each fits what was typed: everything with
   `data-command` or `data-key`, in rows of the present one alone, and each choice of a field. */

import { fit } from './fuzzy.js'
import { all, currentRow, nameOf, press } from './keys.js'

const OFFERED = ':is([data-command], [data-key]):not([data-key^="Mod+"], [data-key="Escape"])'

/** To collect before a dialog takes the focus. */
export function commandsOf(page = document) {
  const row = currentRow()
  const found = new Map()
  for (const node of all(OFFERED, page)) {
    const rowOf = node.closest('[data-row]')
    const isElsewhere = (rowOf && rowOf !== row) || node.closest('dialog, command-palette') || node.matches('[aria-current=page]')
    for (const command of isElsewhere ? [] : offered(node)) {
      if (command.name && !found.has(command.name)) found.set(command.name, command)
    }
  }
  return [...found.values()]
}

/** Those that fit, the best first; as they are on the page for who has typed nothing. */
export function fitting(commands, typed) {
  const found = commands.filter((each) => typed || !each.isChoice).map((each) => ({ ...each, fit: fit(typed, each.name) }))
  const kept = found.filter((each) => each.fit)
  return typed ? kept.sort((a, b) => b.fit.score - a.fit.score) : kept
}

/** Are all the words that were typed in what is written there? */
export const has = (node, typed) => typed && typed.toLowerCase().split(/\s+/).every((word) => node.textContent.toLowerCase().includes(word))

function offered(node) {
  const name = nameOf(node)
  const isWay = node.matches('a[href]')
  const command = { name, key: node.dataset.key, kind: isWay && !node.closest('main') ? 'go' : 'do', href: isWay && node.href, run: () => press(node) }
  return [command, ...choices(node).map(({ text, run }) => ({ name: `${name}: ${text.trim()}`, kind: 'do', isChoice: true, run }))]
}

/** Of a select, or of a field of a row (see pick-field.js): what else it may be. */
function choices(node) {
  const options = [...(node.options ?? [])].filter((option) => !option.selected && !option.disabled && option.text.trim())
  const buttons = [...(document.getElementById(`pick-${node.dataset.sets}`)?.querySelectorAll('button') ?? [])].filter((button) => button.value !== node.dataset.value)
  return [
    ...options.map((option) => ({ text: option.text, run: () => choose(node, option) })),
    ...buttons.map((button) => ({ text: button.textContent, run: () => (press(node), button.click()) })),
  ]
}

function choose(select, option) {
  select.value = option.value
  for (const type of ['input', 'change']) select.dispatchEvent(new Event(type, { bubbles: true }))
}
