/** Lets one task in at a time, in the order of asking. A task that throws lets the next one in. */
export class Mutex {
  private tail: Promise<unknown> = Promise.resolve();
  private inside = 0;

  async run<T>(task: () => Promise<T> | T): Promise<T> {
    this.inside += 1;
    // Nobody inside: no wait, not even a turn of the microtask queue.
    const turn = this.inside === 1 ? (async () => task())() : this.tail.then(task);
    this.tail = turn.catch(() => undefined);
    try {
      return await turn;
    } finally {
      this.inside -= 1;
    }
  }
}
