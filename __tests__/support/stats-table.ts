import type { Page } from "playwright-core";

/** A server's row as a person sees it on HAProxy's stats page. */
export interface StatsTableRow {
  readonly name: string;
  /**
   * The colour, by the name the page's style sheet has for it (HAProxy's src/stats.c and src/stats-html.c):
   * `active_up` is green, `active_down` red, `active_draining` blue, `maintain` brown.
   */
  readonly colour: string;
  readonly status: string;
  /** Requests given to it. */
  readonly requests: number;
  readonly weight: string;
}

/**
 * The rows of a backend's servers, in the order of the page.
 *
 * A row's cells: name | queue 1-3 | session rate 4-6 | sessions 7-12: cur max limit total lbtot last | bytes 13-14 |
 * denied 15-16 | errors 17-19 | warnings 20-21 | server 22-: status lastchk wght …
 */
export async function statsTable(page: Page, backend: string): Promise<readonly StatsTableRow[]> {
  const rows: StatsTableRow[] = [];
  const prefix = `${backend}/`;
  for (const row of await page.locator(`tr:has(a[name^="${prefix}"])`).all()) {
    const cells = await row.locator("> td").allInnerTexts();
    const name = cells[0]?.trim() ?? "";
    if (name === "Backend" || name === "Frontend") continue;
    rows.push({
      name,
      colour: (await row.getAttribute("class")) ?? "",
      status: cells[22]?.trim() ?? "",
      requests: Number(cells[11]?.replace(/\D/g, "")),
      weight: cells[24]?.trim() ?? "",
    });
  }
  return rows;
}
