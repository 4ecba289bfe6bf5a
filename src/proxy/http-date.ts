// The Date field (RFC 9110 section 6.6.1), made once a second at most.

export function createHttpDate(wallClock: () => number = Date.now): () => string {
  let second = -1;
  let line = '';
  return () => {
    const now = Math.floor(wallClock() / 1000);
    if (now !== second) {
      second = now;
      line = `Date: ${new Date(now * 1000).toUTCString()}\r\n`;
    }
    return line;
  };
}
