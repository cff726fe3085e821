/** What `react.js` tests: lists that are shown and hidden by `show`, and how often each row was rendered. */
import { connect } from 'livelog';
import { useConnection, useQuery } from 'livelog/react';
import { memo, StrictMode, useState } from 'react';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';

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

function App() {
  const [lists, set] = useState({});
  setLists = set;
  const { name } = useConnection(db);
  return (
    <>
      <p id="state">{name}</p>
      {Object.entries(lists).map(([key, options]) => <List key={key} name={key} options={options} />)}
    </>
  );
}

createRoot(document.getElementById('root')).render(<StrictMode><App /></StrictMode>);
globalThis.page = { db, renders, results, show };
