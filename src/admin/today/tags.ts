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

/** What an entity has afterwards. @param sent nothing keeps what there is, null takes all away */
export function tagsAfter(
  sent: readonly string[] | null | undefined,
  kept: readonly string[] | undefined,
): readonly string[] {
  return sent === undefined ? (kept ?? []) : (sent ?? []);
}
