/** The collection options for TanStack DB, with the real TanStack DB. */
import './tanstack_eager.js';
import './tanstack_on_demand.js';
import './tanstack_random.js';
import './tanstack_scripted.js';
