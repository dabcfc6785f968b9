import { mkdir } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";

const directory = fileURLToPath(new URL("../../docs/pictures/", import.meta.url));

/** Where the documentation's pictures are: `UPDATE_PICTURES=1 npm run test:browser` takes them anew. */
export function pictureFile(name: string): string {
  return path.join(directory, `${name}.png`);
}

/**
 * Takes a picture for the documentation of what the page shows at the height `top`, when pictures are wanted.
 *
 * @param height in pixels, as `top`; the width is the window's
 */
export async function picture(page: Page, name: string, { top = 0, height }: { top?: number; height: number }) {
  if (process.env["UPDATE_PICTURES"] !== "1") return;
  const width = page.viewportSize()?.width ?? 0;
  await mkdir(directory, { recursive: true });
  await page.screenshot({ path: pictureFile(name), clip: { x: 0, y: top, width, height }, fullPage: true });
}
