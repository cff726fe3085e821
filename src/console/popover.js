/** A button that opens a small window beside itself; the browser closes it by Escape or a press elsewhere. */
import { h, unique } from './dom.js';

const GAP = 6;
const EDGE = 8;

/** @param {{ label: string, button: HTMLElement, content: any[], opened?: (popover: HTMLElement) => void }} options */
export function popover(scope, { label, button, content, opened }) {
  const id = unique('popover');
  const element = h(
    'div',
    { id, popover: 'auto', class: 'popover', role: 'dialog', 'aria-label': label, tabindex: '-1' },
    content,
  );
  button.setAttribute('popovertarget', id);
  scope.listen(element, 'toggle', (event) => {
    if (event.newState !== 'open') return;
    place(element, button.getBoundingClientRect());
    opened?.(element);
  });
  return h('div', { class: 'popover-anchor' }, button, element);
}

/** Below the button, or above it where there is more room, and within the window. */
function place(element, button) {
  const { offsetWidth: width, offsetHeight: height } = element;
  const below = button.bottom + GAP;
  const top = below + height + EDGE > innerHeight ? Math.max(EDGE, button.top - GAP - height) : below;
  const left = Math.max(EDGE, Math.min(button.left, innerWidth - width - EDGE));
  element.style.top = `${top}px`;
  element.style.left = `${left}px`;
}
