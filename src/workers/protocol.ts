// What the primary and its workers say to each other. Messages travel in order in each direction.
import type { Config, ListenAddress } from '../config/config.ts';
import type { Change } from '../model/entities.ts';

export type ToWorker =
  /** First. The worker loads its catalog and answers `loaded`. */
  | {
      readonly kind: 'start';
      readonly config: Config;
      /** The one that the primary has taken, whatever its file holds by now (`keyringText`). */
      readonly keyring: string;
      /** Base64. */
      readonly ticketSecret: string;
      readonly store: string;
    }
  /** Once a listener, with its listening socket. */
  | { readonly kind: 'listen'; readonly address: ListenAddress }
  /** There are no more listeners. Answered with `listening`. */
  | { readonly kind: 'listeners-sent' }
  | {
      readonly kind: 'changes';
      readonly revision: number;
      /** `everything`: all that was loaded may be out of date. */
      readonly changes: readonly Pick<Change, 'entity' | 'id'>[] | 'everything';
    }
  /** What was needed is in the file, or could not be had. */
  | { readonly kind: 'certificate-fetched'; readonly id: string }
  | { readonly kind: 'report'; readonly request: number }
  /** Answered with `alive`, to show that it still can. */
  | { readonly kind: 'ping' }
  | { readonly kind: 'reopen-logs' }
  /** Accept nothing more, finish what is in flight, exit. `socketsStay`: a successor accepts from the same sockets. */
  | { readonly kind: 'drain'; readonly socketsStay: boolean };

export type FromWorker<Report> =
  | { readonly kind: 'loaded'; readonly revision: number }
  | { readonly kind: 'listening' }
  | { readonly kind: 'applied'; readonly revision: number }
  /** A client asks for a certificate that the file does not have yet. */
  | { readonly kind: 'need-certificate'; readonly id: string }
  /** The file cannot be read everywhere. Said no more than once in a while. */
  | { readonly kind: 'store-damaged' }
  | { readonly kind: 'alive' }
  | { readonly kind: 'report'; readonly request: number; readonly report: Report };
