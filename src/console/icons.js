/** Small pictures of one stroke. They say nothing that the text beside them does not, so readers skip them. */
import { svg } from './dom.js';

const PATHS = {
  feed: ['M3 10h3l2-5 4 10 2-5h3'],
  events: ['M3 5h14M3 10h14M3 15h14', 'M8 5v10'],
  node: ['M4 15v-4M8 15V7M12 15v-6M16 15V4'],
  start: ['M5 6l4 4-4 4', 'M11 14h5'],
  manual: [
    'M4 4.5h5a1.5 1.5 0 0 1 1 1 1.5 1.5 0 0 1 1-1h5v10.5h-5a1.5 1.5 0 0 0-1 1 1.5 1.5 0 0 0-1-1H4z',
    'M10 5.5v10',
  ],
  light: [
    'M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z',
    'M10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.3 4.3l1.1 1.1M14.6 14.6l1.1 1.1M4.3 15.7l1.1-1.1M14.6 5.4l1.1-1.1',
  ],
  dark: ['M16 11.5A6.5 6.5 0 1 1 8.5 4a5 5 0 0 0 7.5 7.5z'],
  auto: ['M10 3.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13z', 'M10 3.5v13', 'M10 6.5h3.5M10 10h6M10 13.5h3.5'],
  broadcast: [
    'M10 9a1 1 0 1 0 0 2 1 1 0 0 0 0-2z',
    'M7 13a4.2 4.2 0 0 1 0-6M13 7a4.2 4.2 0 0 1 0 6M4.5 15.5a7.8 7.8 0 0 1 0-11M15.5 4.5a7.8 7.8 0 0 1 0 11',
  ],
  person: ['M10 4a3 3 0 1 0 0 6 3 3 0 0 0 0-6z', 'M4 16.5c.8-3 3-4.5 6-4.5s5.2 1.5 6 4.5'],
  close: ['M5 5l10 10M15 5L5 15'],
  pause: ['M7 5v10M13 5v10'],
  play: ['M6.5 4.5l9 5.5-9 5.5z'],
  back: ['M12.5 5l-5 5 5 5'],
  forward: ['M7.5 5l5 5-5 5'],
  copy: ['M7 7h9v9H7z', 'M13 7V4H4v9h3'],
  plus: ['M10 4v12M4 10h12'],
  columns: ['M3.5 4.5h13v11h-13z', 'M8 4.5v11M12.3 4.5v11'],
  clock: ['M10 3.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13z', 'M10 6.5V10l2.5 1.5'],
  help: [
    'M10 3.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13z',
    'M8.2 8.2a1.8 1.8 0 1 1 2.6 1.6c-.5.3-.8.6-.8 1.2M10 13.4v.1',
  ],
  up: ['M10 16V4M5.5 8.5L10 4l4.5 4.5'],
  down: ['M10 4v12M5.5 11.5L10 16l4.5-4.5'],
  search: ['M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4z', 'M12.7 12.7L16.5 16.5'],
};

export function icon(name) {
  const paths = PATHS[name].map((d) => svg('path', { d }));
  return svg('svg', { class: 'icon', viewBox: '0 0 20 20', 'aria-hidden': 'true', focusable: 'false' }, paths);
}
