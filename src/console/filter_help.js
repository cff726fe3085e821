/** What may be typed into a filter box, by examples: one press puts one into the box, to be changed. */
import { iconButton } from './controls.js';
import { h } from './dom.js';
import { popover } from './popover.js';
import { address } from './router.js';

export const EXAMPLES = [
  ['order-17', 'the event with this id'],
  ['status = open', 'a field is this; spaces around the sign or none'],
  ['status=open total>=100', 'both hold; there are = != > >= < <= and ~'],
  ['customer="Ada Okafor"', 'quotes hold words together'],
  ['title~^draft', 'text fits a pattern, here: begins with draft'],
  ['address.city=Oslo', 'a field within a field'],
  ['tags=new', 'of a list: new is in it'],
  ['gift=true note=null', 'true, numbers and null are no text; null is also what is missing'],
  ['{"$or":[{"gift":true},{"total":{"$gt":100}}]}', 'any filter, in JSON'],
];

/** @param {{ take: (text: string) => void }} options `take`: an example was pressed */
export function filterHelp(scope, { take }) {
  const line = ([text, means]) =>
    h(
      'li',
      null,
      h('button', { type: 'button', class: 'example mono', onclick: () => choose(text) }, text),
      h('span', { class: 'faint' }, means),
    );
  const box = popover(scope, {
    label: 'How to filter',
    button: iconButton('help', 'How to filter'),
    content: [
      h('p', { class: 'popover-title' }, 'How to filter'),
      h('ul', { class: 'examples' }, EXAMPLES.map(line)),
      h('p', null, h('a', { href: address('manual', {}, ['console', 'the-filter-box']) }, 'More in the manual')),
    ],
    opened: (element) => element.querySelector('button').focus(),
  });
  const choose = (text) => {
    box.querySelector('[popover]').hidePopover();
    take(text);
  };
  return box;
}
