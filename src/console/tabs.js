/** Tabs as screen readers and keyboards expect them: one stop of the Tab key, arrows between. */
import { h, mark, say, unique } from './dom.js';

/** @param {{ label: string, items: [string, string, HTMLElement][], choose: (name: string) => void }} options */
export function tabs(scope, { label, items, choose }) {
  const buttons = new Map();
  const list = h('div', { class: 'tabs', role: 'tablist', 'aria-label': label });
  for (const [name, title, panel] of items) {
    const [tab, body] = [unique('tab'), unique('tab-panel')];
    const button = h(
      'button',
      { type: 'button', role: 'tab', id: tab, 'aria-controls': body, onclick: () => choose(name) },
      title,
    );
    Object.assign(panel, { id: body, hidden: true });
    for (const [attribute, value] of [
      ['role', 'tabpanel'],
      ['aria-labelledby', tab],
    ])
      panel.setAttribute(attribute, value);
    buttons.set(name, { button, panel });
    list.append(button);
  }
  const show = (wanted) => {
    const shown = buttons.has(wanted) ? wanted : items[0][0];
    for (const [name, { button, panel }] of buttons) {
      mark(button, 'aria-selected', name === shown ? 'true' : 'false');
      button.tabIndex = name === shown ? 0 : -1;
      panel.hidden = name !== shown;
    }
  };
  const rename = (name, title) => say(buttons.get(name).button, title);
  scope.listen(list, 'keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const names = [...buttons.keys()];
    const at = names.findIndex((name) => buttons.get(name).button === document.activeElement);
    const next = names[(at + step + names.length) % names.length];
    choose(next);
    buttons.get(next).button.focus();
  });
  return {
    element: h(
      'div',
      null,
      list,
      items.map(([, , panel]) => panel),
    ),
    show,
    rename,
  };
}
