// One request and its response, whatever protocol it came by: route → policies → upstream → response → counters and log.
// Retry is decided here, around forwarding; bytes are the codec's, and the client's connection is downstream's.
import type { RouteCatalog, RouteMatch } from '../catalog/contract.ts';
import type { FieldLines } from '../http1/field-lines.ts';
import { field } from '../http1/field-names.ts';
import type { Request, Response } from '../http1/message.ts';
import type { ErrorCode } from '../lib/errors.ts';
import { looseRoutingPath, routingPath } from '../model/routing-path.ts';
import type { AccessEntry, AccessLog, Counters } from '../observe/contract.ts';
import type { ProvenClient } from '../tls/client-proof.ts';
import type { Admission, Admissions } from './admissions.ts';
import type { Deadlines } from './deadlines.ts';
import type { Downstream } from './downstream.ts';
import type { UpstreamFailureReport } from './failure-log.ts';
import {
  allowedUpgrade,
  forwardRequest,
  type ForwardSettings,
  isAskedFor,
  isLoop,
  realAddress,
} from './forward-request.ts';
import type { LimitReports } from './limit-reports.ts';
import { ownResponse } from './own-responses.ts';
import { demandsTls, hstsLine } from './policies.ts';
import type { ProxySettings } from './settings.ts';
import { type Failure, failure } from './upstream-failures.ts';
import type { UpstreamPool } from './upstream-pool.ts';
import type { UpstreamSink, UpstreamTransport } from './upstream-transport.ts';

/** What the exchanges of a process share. */
export interface ExchangeServices {
  readonly settings: ProxySettings;
  readonly forward: ForwardSettings;
  readonly routes: RouteCatalog;
  readonly admissions: Admissions;
  readonly pool: UpstreamPool;
  readonly deadlines: Deadlines;
  readonly counters: Counters;
  readonly reached: LimitReports;
  readonly accessLog: AccessLog | undefined;
  readonly tellFailure: (report: UpstreamFailureReport) => void;
  readonly nextRequestId: () => string;
  readonly dateLine: () => string;
}

/** Responses of 1xx that an upstream may give one request; together they may be as large as one head. */
const interimResponsesMax = 100;

/** How long a client has to have kept its upstream waiting before it has to give way to another request. */
const slowAfterMs = 1000;

/** RFC 9110 section 9.2.2: these may be sent again when it is unknown whether the upstream has acted. */
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

export class Exchange implements UpstreamSink, AccessEntry {
  readonly requestId: string;
  status = 0;
  errorCode: ErrorCode | undefined;
  errorReason: string | undefined;
  clientCertificate: string | undefined;
  responseBodyBytes = 0;
  requestBodyBytes = 0;
  totalMs = 0;
  upstreamMs = -1;
  remoteAddress: string;

  readonly #services: ExchangeServices;
  readonly #downstream: Downstream;
  readonly #request: Request;
  readonly #startedAt: number;
  #match: RouteMatch | undefined;
  #upstream: UpstreamTransport | undefined;
  #upstreamHead = '';
  #upgrade: string | undefined;
  #sentAt: number;
  #waited = false;
  #retriesLeft = 0;
  #staleRetried = false;
  /** Waiting for the pool. */
  #acquiring = false;
  #bodyBegun = false;
  #requestWhole = false;
  #responseWhole = false;
  #interimResponses = 0;
  #interimBytes = 0;
  #switched = false;
  #over = false;

  /**
   * @param startedAt when the first byte of its head came
   * @param readAt when the last one came: now
   */
  constructor(services: ExchangeServices, downstream: Downstream, request: Request, startedAt: number, readAt: number) {
    this.#services = services;
    this.#downstream = downstream;
    this.#request = request;
    this.#startedAt = startedAt;
    this.#sentAt = readAt;
    this.requestId = services.nextRequestId();
    this.remoteAddress = downstream.connection.remoteAddress;
  }

  get method(): string {
    return this.#request.method;
  }
  get target(): string {
    return this.#request.target;
  }
  get httpVersion(): '1.0' | '1.1' | '2' {
    const { version } = this.#request;
    if (version === 11) return '1.1';
    return version === 10 ? '1.0' : '2';
  }
  get host(): string {
    return this.#request.host;
  }
  get tls(): boolean {
    return this.#downstream.connection.tls;
  }
  get serverName(): string | undefined {
    return this.#downstream.connection.serverName;
  }
  get apiName(): string | undefined {
    return this.#match?.route.apiName;
  }
  get userAgent(): string | undefined {
    return this.#request.fields.find(field.userAgent);
  }

  /** Can it take request body now? Nothing may follow a request that is whole: it would be the next one to the upstream. */
  get takesBody(): boolean {
    return this.#upstream !== undefined && !this.#requestWhole && !this.#bodyBlocked && !this.#over;
  }
  #bodyBlocked = false;
  /** The client cannot take more of the response. */
  #responseBlocked = false;
  /** Since when the upstream waits for the client to send of the body or to take of the response; Infinity: it does not. */
  #waitsSince = Number.POSITIVE_INFINITY;
  /** It did before for so long, of the message that it waits in now. */
  #waitedMs = 0;
  /** Bytes of both bodies before that. */
  #bytesBefore = 0;

  /** May bytes of the request's body not have left for the upstream yet? */
  get holdsRequest(): boolean {
    return this.#upstream?.holdsBytes !== false;
  }

  /** Streams of few bytes that go on for long are usual in gRPC, and each holds a stream upstream, not a connection. */
  get maySendSlowly(): boolean {
    return this.#match?.route.upstream.http2 === true;
  }

  /** Of the request, what the upstream has not taken yet. */
  get heldBytes(): number {
    return this.#upstream?.heldBytes ?? 0;
  }

  get holdsResponse(): boolean {
    return this.#downstream.holdsBytes;
  }

  get usesAtOnce(): boolean {
    return this.#downstream.usesAtOnce;
  }

  /** The request's head is read and refused by nothing. */
  begin(): void {
    const { settings, routes, admissions, forward, pool } = this.#services;
    const request = this.#request;
    const { connection, peerFields } = this.#downstream;
    const path = routingPath(request.path);
    const match = routes.matchRoute(request.method, request.host, path);
    this.#match = match;
    const route = match?.route;
    if (route?.httpsOnly === true && demandsTls(route, connection, request, settings))
      return this.refuse('HTTP_TLS_REQUIRED');
    let client: ProvenClient | undefined;
    if (admissions.isNeeded) {
      const admission = admissions.admit(connection, request.host, route);
      if (admission.kind === 'refused') return this.#refuseClient(admission);
      client = admission.client;
      this.clientCertificate = client?.fingerprint;
    }
    if (match === undefined || route === undefined) return this.refuse('HTTP_ROUTE_NOT_FOUND');
    const loose = looseRoutingPath(path);
    if (loose !== path && this.#leadsElsewhere(loose, match)) return this.refuse('HTTP_PATH_AMBIGUOUS');
    if (settings.clientMaxBodyBytes > 0 && request.contentLength > settings.clientMaxBodyBytes) {
      return this.refuse('HTTP_BODY_TOO_LARGE');
    }
    if (isLoop(request)) return this.refuse('HTTP_LOOP');
    this.remoteAddress = realAddress(connection, request, forward);
    this.#upgrade = allowedUpgrade(request);
    this.#upstreamHead = forwardRequest(
      request,
      match,
      connection,
      peerFields,
      this.remoteAddress,
      this.#upgrade,
      this.requestId,
      settings.upstreamKeepalivePoolSize === 0,
      client,
    );
    this.#requestWhole = request.bodyKind === 'none';
    this.#retriesLeft = route.retries;
    this.#acquiring = true;
    pool.acquire(route.upstream, this, route, false);
    this.#waited = true;
  }

  get #hsts(): string {
    const route = this.#match?.route;
    return route?.hsts === undefined ? '' : hstsLine(route, this.#downstream.connection, this.#request);
  }

  #refuseClient({ code, reason }: Admission & { kind: 'refused' }): void {
    this.#services.counters.clientRefused(reason);
    this.errorReason = reason;
    this.refuse(code);
  }

  /** Could the upstream read another API's path in this one, and so pass by what that API demands? */
  #leadsElsewhere(loosePath: string, { route, prefix }: RouteMatch): boolean {
    // An API whose own path is spelled that way means it.
    if (looseRoutingPath(prefix) !== prefix) return false;
    const other = this.#services.routes.matchRoute(this.#request.method, this.#request.host, loosePath);
    return other !== undefined && other.route.apiId !== route.apiId;
  }

  /** Answers with an error of our own, or cuts the response that has begun. */
  refuse(code: ErrorCode): void {
    if (this.#over) return;
    this.#dropUpstream();
    if (this.status !== 0) {
      this.errorCode = code;
      return this.#abort();
    }
    const response = ownResponse(code, this.requestId, this.#request, this.#hsts, this.errorReason);
    this.status = response.status;
    this.errorCode = code;
    this.responseBodyBytes = this.#downstream.sendOwn(response, this.requestId);
    this.#downstream.exchangeEnded(this.#record());
  }

  /** The client has gone, or its connection must end; `errorCode` may say why. */
  abandon(): void {
    if (this.#over) return;
    if (this.status === 0) this.status = clientClosed;
    this.#dropUpstream();
    this.#abort();
  }

  /** A range of request body; only when `takesBody`. */
  onRequestData(bytes: Buffer, from: number, to: number): void {
    const upstream = this.#upstream;
    if (upstream === undefined || this.#requestWhole) return;
    this.#bodyBegun = true;
    this.requestBodyBytes += to - from;
    if (this.#switched) return upstream.sendData(bytes, from, to);
    const most = this.#services.settings.clientMaxBodyBytes;
    if (most > 0 && this.requestBodyBytes > most) return this.refuse('HTTP_BODY_TOO_LARGE');
    if (this.#request.bodyKind === 'chunked') upstream.sendChunk(bytes, from, to);
    else upstream.sendData(bytes, from, to);
  }

  onRequestEnd(trailers: FieldLines | undefined): void {
    this.#requestWhole = true;
    // Also of a chunked body without data: its last chunk is not at hand for a second time.
    this.#bodyBegun = true;
    if (!this.#responseBlocked) this.#waitsSince = Number.POSITIVE_INFINITY;
    this.#waitedMs = 0;
    const upstream = this.#upstream;
    if (upstream === undefined) return;
    if (this.#switched) {
      upstream.halfClose();
      if (this.#responseWhole) this.#complete();
      return;
    }
    if (this.#request.bodyKind === 'chunked') upstream.sendLastChunk(trailers);
    upstream.endRequest();
  }

  /** What one read of the client brought has been given. */
  onRequestPause(): void {
    const upstream = this.#upstream;
    if (upstream === undefined) return;
    if (this.#switched) upstream.touch();
    const blocked = !upstream.flush() && !this.#requestWhole;
    if (blocked === this.#bodyBlocked) return;
    this.#bodyBlocked = blocked;
    this.#noteWait(this.#services.deadlines.now());
  }

  onDownstreamDrain(): void {
    if (this.#responseBlocked) {
      this.#responseBlocked = false;
      this.#noteWait(this.#services.deadlines.now());
    }
    this.#upstream?.resume();
  }

  /** Does the upstream begin to wait for the client, or no longer do so? */
  #noteWait(now: number): void {
    const waits = this.#responseBlocked || !(this.#requestWhole || this.#bodyBlocked);
    const waited = this.#waitsSince < Number.POSITIVE_INFINITY;
    if (waits === waited) return;
    if (waited) {
      this.#waitedMs += now - this.#waitsSince;
      this.#waitsSince = Number.POSITIVE_INFINITY;
      return;
    }
    if (this.#waitedMs === 0) this.#bytesBefore = this.requestBodyBytes + this.responseBodyBytes;
    this.#waitsSince = now;
  }

  onUpstreamReady(upstream: UpstreamTransport): void {
    this.#acquiring = false;
    this.#upstream = upstream;
    // The common case, a kept connection at once: the clock has just been read.
    if (this.#waited) this.#sentAt = this.#services.deadlines.now();
    upstream.begin(this.#request.method, this.#upstreamHead, this.#requestWhole, this.#sentAt);
    if (this.#requestWhole) return;
    this.#waitsSince = this.#sentAt;
    if (this.#request.expectContinue && !this.#bodyBegun) this.#downstream.sendContinue();
    this.#downstream.resumeBody();
  }

  onInterimResponse(head: Response): void {
    this.#interimResponses += 1;
    this.#interimBytes += head.fields.text.length;
    // Each begins the wait for the upstream anew, and over HTTP/2 all wait for a client that does not read.
    if (
      this.#interimResponses > interimResponsesMax ||
      this.#interimBytes > this.#services.settings.upstreamResponseHeadMaxBytes
    ) {
      return this.#failed(failure.malformed);
    }
    // We have asked for no 100; the client got ours.
    if (head.status !== 100 && this.#request.version !== 10) this.#downstream.sendInterim(head);
  }

  onResponseHead(head: Response): void {
    const now = this.#services.deadlines.now();
    this.upstreamMs = now - this.#sentAt;
    if (head.status === 101) {
      if (!isAskedFor(this.#upgrade, head.upgrade)) return this.#failed(failure.malformed);
      this.#switched = true;
      this.#requestWhole = false;
    } else if (head.status < 300 && this.#upgrade !== undefined && this.#request.version === 20) {
      // RFC 8441 section 5: to its client any success is the change of protocol, and what follows would be read as that protocol.
      return this.#failed(failure.malformed);
    }
    this.status = head.status;
    const upstreamMs = Math.round(this.upstreamMs);
    const proxyMs = Math.max(0, Math.round(now - this.#startedAt - this.upstreamMs));
    this.#downstream.sendHead(
      head,
      `X-Portunus-Upstream-Latency: ${upstreamMs}\r\nX-Portunus-Proxy-Latency: ${proxyMs}\r\nX-Portunus-Request-Id: ${this.requestId}\r\n${
        head.hasDate ? '' : this.#services.dateLine()
      }${this.#hsts}`,
      this.#match?.route.hsts !== undefined,
    );
    if (this.#switched) this.#downstream.resumeBody();
  }

  onResponseData(bytes: Buffer, from: number, to: number): void {
    this.responseBodyBytes += to - from;
    this.#downstream.sendData(bytes, from, to);
  }

  onResponseEnd(trailers: FieldLines | undefined): void {
    this.#responseWhole = true;
    this.#downstream.sendEnd(trailers);
    if (!this.#switched || this.#requestWhole) this.#complete();
  }

  onResponsePause(): void {
    if (this.#over || this.#downstream.flush()) return;
    this.#upstream?.pause();
    if (this.#responseBlocked) return;
    this.#responseBlocked = true;
    this.#noteWait(this.#services.deadlines.now());
  }

  onUpstreamDrain(): void {
    if (!this.#bodyBlocked) return;
    this.#bodyBlocked = false;
    this.#noteWait(this.#services.deadlines.now());
    this.#downstream.resumeBody();
  }

  onUpstreamFailed(reason: Failure): void {
    const match = this.#match;
    if (this.#over || match === undefined) return;
    const connecting = this.#acquiring;
    const upstream = this.#upstream;
    this.#acquiring = false;
    this.#upstream = undefined;
    const again = connecting
      ? (reason.kind === 'connect' || reason.kind === 'tls') && this.#retriesLeft > 0
      : upstream !== undefined && this.#isStale(upstream, reason);
    if (!again) return this.#failed(reason);
    if (connecting) this.#retriesLeft -= 1;
    else this.#staleRetried = true;
    this.#acquiring = true;
    this.#services.pool.acquire(match.route.upstream, this, match.route, true);
  }

  get requestAtHand(): boolean {
    if (this.#requestWhole) return true;
    const { bodyKind, contentLength } = this.#request;
    return bodyKind === 'length' && this.#downstream.bodyAtHand >= contentLength;
  }

  clientRate(now: number): number {
    // What a changed protocol says may be little. Without an upstream nobody waits.
    if (this.#switched || this.#upstream === undefined) return Number.POSITIVE_INFINITY;
    const waitedMs = this.#waitedMs + now - this.#waitsSince;
    if (!(waitedMs >= slowAfterMs)) return Number.POSITIVE_INFINITY;
    return ((this.requestBodyBytes + this.responseBodyBytes - this.#bytesBefore) * 1000) / waitedMs;
  }

  giveWay(): void {
    this.#services.reached('upstream_connections_max', this.remoteAddress);
    this.refuse(this.#responseBlocked ? 'HTTP_RESPONSE_TOO_SLOW' : 'HTTP_BODY_TOO_SLOW');
  }

  /** Did a kept connection turn out to be closed, before the upstream can have acted in a way that repeating changes? */
  #isStale(upstream: UpstreamTransport, reason: Failure): boolean {
    return (
      reason.kind === 'reset' &&
      !upstream.answered &&
      !this.#bodyBegun &&
      !this.#staleRetried &&
      (upstream.unprocessed || (upstream.reused && idempotent.has(this.#request.method)))
    );
  }

  #failed(reason: Failure): void {
    // After a change of protocol silence or a reset is how many of them end. When the upstream had ended its side before,
    // the client still gets what it sent until then.
    if (this.#switched) return this.#responseWhole ? this.#complete() : this.abandon();
    this.#services.counters.upstreamFailed(reason.kind);
    this.#services.tellFailure({
      code: reason.code,
      requestId: this.requestId,
      api: this.apiName,
      upstream: this.#match?.route.upstream.key ?? '',
    });
    this.refuse(reason.code);
  }

  #dropUpstream(): void {
    if (this.#acquiring && this.#match !== undefined) {
      this.#acquiring = false;
      this.#services.pool.cancel(this.#match.route.upstream, this);
    }
    const upstream = this.#upstream;
    this.#upstream = undefined;
    upstream?.close();
  }

  /** Both messages are whole, or the request never will be. */
  #complete(): void {
    const upstream = this.#upstream;
    this.#upstream = undefined;
    const now = this.#record();
    // The next client's requests would be taken for this one's.
    if (this.#request.authenticatesConnection) upstream?.close();
    else upstream?.release(now);
    this.#downstream.exchangeEnded(now);
  }

  #abort(): void {
    if (this.#over) return;
    this.#record();
    this.#downstream.abort();
  }

  /** @returns the present time */
  #record(): number {
    const { counters, deadlines, accessLog } = this.#services;
    this.#over = true;
    const now = deadlines.now();
    this.totalMs = now - this.#startedAt;
    counters.requestDone(this.status, this.totalMs, this.upstreamMs);
    accessLog?.write(this);
    return now;
  }
}

/** In the log only: the client left before there was a response, by nginx's number for it. */
const clientClosed = 499;
