// Tags: words that lists are filtered by.
import { invalid, type Problem } from '../problems.ts';

const tagMaxLength = 512;

export function checkTags(tags: readonly string[]): readonly Problem[] {
  return tags.flatMap((tag, index) =>
    tag.length <= tagMaxLength && !/[,/\p{Cc}]/u.test(tag)
      ? []
      : [invalid(`tags.${index + 1}`, 'invalid tag: commas, slashes and control characters are not allowed')],
  );
}
