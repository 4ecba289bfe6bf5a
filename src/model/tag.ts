// Tags: words that lists are filtered by.

const maxLength = 512;

/** At most 512 characters; no commas and slashes, by which filters join them, and no control characters. */
export function isTag(text: string): boolean {
  return text.length <= maxLength && !/[,/\p{Cc}]/u.test(text);
}
