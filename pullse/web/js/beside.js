/* What opens beside something: where it has room, and how the arrows go through it. */

const GAP = 4

export function place(popover, anchor) {
  const { left, top, bottom } = anchor.getBoundingClientRect()
  const { width, height } = popover.getBoundingClientRect()
  const isBelow = bottom + GAP + height < innerHeight || top < height
  popover.style.left = `${Math.max(GAP, Math.min(left, innerWidth - width - GAP))}px`
  popover.style.top = `${isBelow ? bottom + GAP : top - height - GAP}px`
}

/** Was it an arrow? Then the focus is on the button before or after. */
export function step(event, buttons) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key]
  if (!by || !buttons.length) return
  event.preventDefault()
  const at = buttons.indexOf(document.activeElement)
  buttons[at < 0 && by < 0 ? buttons.length - 1 : (at + by + buttons.length) % buttons.length].focus()
}
