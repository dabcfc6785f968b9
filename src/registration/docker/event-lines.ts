import { StringDecoder } from "node:string_decoder";

/** One event with all labels of its container is some kilobytes long. */
const longestLine = 1_000_000;

/**
 * The lines of a stream of JSON texts, each ended by a line feed, in whatever pieces they come. A line that is longer
 * than allowed is thrown away as it comes, and given as undefined.
 *
 * @throws what the stream throws. A last line without an end is not given: it may be half a line.
 */
export async function* linesOf(
  chunks: AsyncIterable<Buffer>,
  longest = longestLine,
): AsyncGenerator<string | undefined> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  let tooLong = false;
  for await (const chunk of chunks) {
    const parts = decoder.write(chunk).split("\n");
    for (const [index, part] of parts.entries()) {
      const ends = index < parts.length - 1;
      if (!tooLong) rest += part;
      if (rest.length > longest) {
        tooLong = true;
        rest = "";
      }
      if (!ends) continue;
      if (tooLong) yield undefined;
      else if (rest.trim() !== "") yield rest;
      rest = "";
      tooLong = false;
    }
  }
}
