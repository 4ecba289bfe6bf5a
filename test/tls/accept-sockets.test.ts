// Connections that come as sockets, after a PROXY header say, behave as those that come as handles.
import { road } from '../support/tls-acceptor.ts';

road.kind = 'socket';
await import('./accept.test.ts');
