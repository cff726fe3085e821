/** How to begin, with this server's own address in every line, ready to be copied. */
import { button } from './controls.js';
import { copyButton } from './copy_button.js';
import { fill, h } from './dom.js';
import { address } from './router.js';
import { isGuarded } from './session.js';

const SNIPPETS = [
  {
    title: 'Write and read with curl',
    about: 'Every write is answered once it is durable.',
    text: ({ http, curl }) =>
      `curl -s${curl} ${http}/api/events --json '{"title":"first","tags":["new"]}'\n\n` +
      `curl -sG${curl} ${http}/api/events --data-urlencode 'filter={"tags":"new"}'`,
  },
  {
    title: 'Hear every change',
    about: 'Server-Sent Events: curl, or a browser’s EventSource, which resumes by itself.',
    text: ({ http, curl }) => `curl -N${curl} -H 'Accept: text/event-stream' ${http}/api/changes`,
  },
  {
    title: 'A live result in a page',
    about: 'The client is served here: no package, no build. It reconnects, resumes and repeats by itself.',
    text: ({ http, options }) =>
      `import { connect } from '${http}/client.js';\n\nconst db = connect('${http}'${options});\n` +
      'const open = db.query({ filter: { done: false }, sort: { _createdAt: -1 } });\n' +
      'open.subscribe(() => console.log(open.get()));\n' +
      "await db.create({ title: 'first', done: false });",
  },
  {
    title: 'EventSource',
    about: 'Without the client: what a filter sees, from a snapshot on.',
    isOpenOnly: true,
    text: ({ http }) =>
      `const filter = encodeURIComponent('{"done":false}');\n` +
      `const source = new EventSource(\`${http}/api/changes?snapshot=true&filter=\${filter}\`);\n` +
      "source.addEventListener('change', (event) => console.log(JSON.parse(event.data)));",
  },
  {
    title: 'WebSocket',
    about: 'The wire itself: one JSON object in each message.',
    text: ({ ws, hello }) =>
      `const socket = new WebSocket('${ws}/ws');\nsocket.onmessage = ({ data }) => console.log(JSON.parse(data));\n` +
      `socket.onopen = () => {${hello}\n  socket.send('{"type":"CREATE","id":"c1","payload":{"title":"second"}}');\n};`,
  },
];

/** What lines differ in: this server's address, and where it asks who is there, how one says so. */
function words(guarded) {
  const http = location.origin;
  return {
    http,
    ws: http.replace(/^http/, 'ws'),
    curl: guarded ? ' -H "Authorization: Bearer $TOKEN"' : '',
    options: guarded ? ', { token }' : '',
    hello: guarded ? "\n  socket.send(JSON.stringify({ type: 'AUTH', payload: { token } }));" : '',
  };
}

export class StartView {
  title = 'Start';

  #guarded;

  constructor({ db, scope, notices }) {
    this.snippets = h('div', { class: 'snippets' });
    this.element = h(
      'div',
      { class: 'view scrolls' },
      h('header', { class: 'view-head' }, h('h1', { tabindex: '-1' }, 'Start')),
      h(
        'div',
        { class: 'prose wide' },
        h(
          'p',
          { class: 'lead' },
          'livelog keeps JSON documents and every change that ever happened to them, ',
          'and tells each change to everyone who listens. This server is at ',
          h('strong', { class: 'mono' }, location.origin),
          '.',
        ),
        this.#try(db, notices),
      ),
      this.snippets,
      h('p', { class: 'prose' }, 'More in ', h('a', { href: address('manual') }, 'the manual'), '.'),
    );
    scope.add(db.onState(() => this.#draw(db)));
    this.#draw(db);
  }

  #draw(db) {
    const guarded = isGuarded(db);
    if (guarded === this.#guarded) return;
    this.#guarded = guarded;
    const shown = SNIPPETS.filter(({ isOpenOnly }) => !(isOpenOnly && guarded));
    fill(
      this.snippets,
      shown.map(({ title, about, text }) => snippet(title, about, text(words(guarded)))),
    );
  }

  show() {}

  /** A first event by one press, and where to see what came of it. */
  #try(db, notices) {
    const said = h('span', { class: 'faint', role: 'status' });
    const write = async () => {
      try {
        const event = await db.create({ title: 'first', tags: ['new'], done: false });
        fill(said, 'Written: ', h('a', { href: address('events', { id: event._id }) }, event._id));
      } catch (error) {
        notices.fail('Not written', error);
      }
    };
    return h(
      'div',
      { class: 'buttons' },
      button('Write a first event', write, 'primary'),
      h('a', { class: 'button plain', href: address('feed') }, 'Watch the feed'),
      said,
    );
  }
}

function snippet(title, about, text) {
  const code = h('code', null, text);
  return h(
    'section',
    { class: 'card snippet' },
    h('div', { class: 'snippet-head' }, h('h2', null, title), copyButton(title, () => text, code)),
    h('p', { class: 'faint' }, about),
    h('pre', { tabindex: '0', role: 'group', 'aria-label': title }, code),
  );
}
