// The contract over SQLite.
import { storeContract } from '../contracts/store.ts';
import { temporaryStore } from './temporary-store.ts';

storeContract('sqlite', temporaryStore);
