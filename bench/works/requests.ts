// Requests on connections that stay open: small and large answers, uploads, HTTP/1.1 and HTTP/2.
import path from 'node:path';
import { h2load, type Requests } from '../load/h2load.ts';
import { negotiates } from '../load/negotiates.ts';
import { type BodySize, bodySizes } from '../materials.ts';
import { ownVariants } from '../peers/portunus.ts';
import type { Variant } from '../peers/peer.ts';
import { smallBody } from '../upstream.ts';
import { cpuWork } from './cpu-work.ts';
import type { Work } from './work.ts';

/** What a browser sends with a request for a page. */
const browserHeaders = {
  accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'accept-encoding': 'gzip, deflate, br, zstd',
  'accept-language': 'en-GB,en;q=0.9,de;q=0.8',
  'cache-control': 'max-age=0',
  cookie: 'session=4f1c2b7e9a3d4e5f8b6a7c1d2e3f4a5b; theme=light; consent=analytics%3Dno%26ads%3Dno',
  'sec-fetch-dest': 'document',
  'sec-fetch-mode': 'navigate',
  'sec-fetch-site': 'same-origin',
  'sec-fetch-user': '?1',
  referer: 'https://ecdsa.bench.test/somewhere/else?page=2',
  'upgrade-insecure-requests': '1',
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
};

const small: RequestWork = { target: '/small', answerBytes: smallBody.length, connections: 32 };

export const requestWorks: readonly Work[] = [
  {
    ...requests('small', 'small response', small),
    goals: { nginx: { most: 1 }, 'nginx-lua': { most: 0.85 }, caddy: { most: 0.35 } },
  },
  requests('small-browser', 'small response, headers of a browser', { ...small, headers: browserHeaders }),
  requests('small-unlogged', 'small response, no access log', { ...small, variant: 'unlogged' }),
  requests('plain', 'small response, plain HTTP', { ...small, plain: true }),
  requests('1k', '1 KiB response', body('1k', 32)),
  { ...requests('64k', '64 KiB response', body('64k', 16)), goals: { nginx: { most: 1 } } },
  { ...requests('1m', '1 MiB response', body('1m', 8)), goals: { nginx: { most: 1 } } },
  requests('upload-64k', '64 KiB upload', { ...small, target: '/upload', connections: 16, upload: '64k' }),
  requests('upload-1m', '1 MiB upload', { ...small, target: '/upload', connections: 8, upload: '1m' }),
  {
    ...requests('h2-small', 'HTTP/2, small response', { ...small, inFlight: 10, protocol: 'h2' }),
    goals: { nginx: { most: 1.5, next: 1 } },
  },
  requests('h2-small-unlogged', 'HTTP/2, small response, no access log', {
    ...small,
    inFlight: 10,
    protocol: 'h2',
    variant: 'unlogged',
  }),
  requests('h2-64k', 'HTTP/2, 64 KiB response', { ...body('64k', 8), inFlight: 4, protocol: 'h2' }),
];

/** What parts of Portunus cost that are on by default and can be switched. */
export const costWorks: readonly Work[] = [
  { ...requests('costs', 'small response', small), kind: 'costs', peers: ownVariants },
];

interface RequestWork extends Pick<Requests, 'connections' | 'inFlight' | 'headers' | 'answerBytes'> {
  readonly target: string;
  readonly variant?: Variant;
  readonly plain?: boolean;
  readonly protocol?: Requests['protocol'];
  readonly upload?: BodySize;
}

function body(size: BodySize, connections: number): RequestWork {
  return { target: `/${size}`, answerBytes: bodySizes[size], connections };
}

function requests(id: string, title: string, work: RequestWork): Work {
  const { target, variant = 'logged', plain = false, protocol = 'http/1.1', upload, ...rest } = work;
  return cpuWork({
    id,
    title,
    unit: 'request',
    variant,
    load: async (product, context) => {
      const host = context.materials.ecdsa.name;
      if (protocol === 'h2' && !(await negotiates(product.tlsPort, host, 'h2'))) return { kind: 'not served' };
      const units = await h2load(
        {
          ...rest,
          protocol,
          url: `${plain ? 'http' : 'https'}://${host}${target}`,
          port: plain ? product.plainPort : product.tlsPort,
          ...(upload === undefined ? {} : { upload: path.join(context.folder, upload) }),
        },
        context,
      );
      return { kind: 'done', units };
    },
  });
}
