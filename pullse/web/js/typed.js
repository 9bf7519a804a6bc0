/* What somebody has typed and not sent. */

const PASSING = '[type=search], [type=password], [type=hidden], [type=file], [data-passing]'
/* Of no worth when it is lost, or not to be kept. */

/** Fields whose values are somebody's work. */
export function fieldsOf(form) {
  return [...form.elements].filter((each) => each.name && each.matches('input, textarea, select') && !each.matches(PASSING))
}

export function isTouched(form) {
  return fieldsOf(form).some((field) => isChanged(field))
}

/** Is somebody at work on this page, so that nothing may change beneath? */
export function isAtWork() {
  const here = document.activeElement
  const isTyping = here?.matches('textarea, select, [contenteditable], input:not([type=checkbox], [type=radio])')
  return isTyping || Boolean(document.querySelector('dialog[open]')) || [...document.forms].some(isTouched)
}

function isChanged(field) {
  if (field.type === 'checkbox' || field.type === 'radio') return field.checked !== field.defaultChecked
  if (field.tagName !== 'SELECT') return field.value !== field.defaultValue
  const options = [...field.options]
  if (options.some((each) => each.defaultSelected)) return options.some((each) => each.selected !== each.defaultSelected)
  return field.selectedIndex > 0
}
