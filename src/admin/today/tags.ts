// Tags as requests send them.
import { isTag } from '../../model/tag.ts';
import { invalid, type Problem } from '../problems.ts';

export function checkTags(tags: readonly string[]): readonly Problem[] {
  return tags.flatMap((tag, index) =>
    isTag(tag)
      ? []
      : [invalid(`tags.${index + 1}`, 'invalid tag: commas, slashes and control characters are not allowed')],
  );
}
