/**
 * What `react.js` tests: lists that are shown and hidden by `show`, and how often each row was rendered. A list with
 * `collection` is a live query of TanStack DB.
 */
import { createCollection, eq } from '@tanstack/db';
import { useLiveQuery } from '@tanstack/react-db';
import { connect } from 'livelog';
import { useConnection, useQuery } from 'livelog/react';
import { livelogCollectionOptions } from 'livelog/tanstack';
import { memo, StrictMode, useEffect, useState } from 'react';
import { flushSync } from 'react-dom';
import { createRoot, hydrateRoot } from 'react-dom/client';

const server = new URLSearchParams(location.search).get('server');
const db = connect(server);
const renders = {};
const results = [];
let setLists;

/** Shows a list for each of these options, by name; at once. */
const show = (lists) => flushSync(() => setLists(lists));

const Row = memo(({ row, pending }) => {
  renders[row._id] = (renders[row._id] ?? 0) + 1;
  return <li data-id={row._id} data-pending={pending}>{row.title}</li>;
});

function List({ name, options }) {
  // Another object at each render, as one that is written in place is.
  const result = useQuery(db, options && { ...options });
  results.push(result);
  const { rows, ready, error, pending } = result;
  return (
    <ul id={name} data-ready={ready} data-error={error?.code}>
      {rows.map((row) => <Row key={row._id} row={row} pending={pending(row._id)} />)}
    </ul>
  );
}

const collections = {
  eager: createCollection(livelogCollectionOptions({ db, gcTime: 1 })),
  'on-demand': createCollection(livelogCollectionOptions({ db, gcTime: 1, syncMode: 'on-demand' })),
};

function LiveList({ name, options: { collection, title } }) {
  const { data, isReady, isError } = useLiveQuery({
    query: (q) => {
      const rows = q.from({ row: collections[collection] }).orderBy(({ row }) => row._id);
      return title ? rows.where(({ row }) => eq(row.title, title)) : rows;
    },
    gcTime: 1,
  }, [collection, title]);
  return (
    <ul id={name} data-ready={isReady} data-error={isError}>
      {data.map((row) => <li key={row._id}>{row.title}</li>)}
    </ul>
  );
}

/** A component that connects by itself, as one does that is rendered on a server before. */
function Late() {
  const [db, set] = useState(null);
  useEffect(() => {
    const connected = connect(server);
    set(connected);
    return () => connected.close();
  }, []);
  const { rows, error } = useQuery(db, {});
  const { name } = useConnection(db);
  return <p id="late">{`${name} ${rows.map(({ title }) => title)} ${error?.code ?? 'well'}`}</p>;
}

/** Makes what a server has rendered of a list live. */
function hydrate(html, options) {
  const place = document.body.appendChild(document.createElement('div'));
  place.innerHTML = html;
  hydrateRoot(place, <StrictMode><List name="hydrated" options={options} /></StrictMode>, {
    onRecoverableError: (error) => console.error(error),
  });
}

function Shown({ name, options }) {
  if (options === 'late') return <Late />;
  return options?.collection ? <LiveList name={name} options={options} /> : <List name={name} options={options} />;
}

function App() {
  const [lists, set] = useState({});
  setLists = set;
  const { name } = useConnection(db);
  return (
    <>
      <p id="state">{name}</p>
      {Object.entries(lists).map(([key, options]) => <Shown key={key} name={key} options={options} />)}
    </>
  );
}

createRoot(document.getElementById('root')).render(<StrictMode><App /></StrictMode>);
globalThis.page = { db, renders, results, show, hydrate };
