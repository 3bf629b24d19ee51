/** How fast something goes, by what it did lately. */

const LATELY_MS = 8000;

export class Pace {
  private marks: { at: number; done: number }[] = [];

  mark(done: number, at = performance.now()) {
    this.marks.push({ at, done });
    while (this.marks.length > 2 && at - (this.marks[0]?.at ?? at) > LATELY_MS) this.marks.shift();
  }

  /** After a pause nothing of before it counts. */
  reset() {
    this.marks = [];
  }

  /** Per second; 0 while there is nothing to tell by. */
  get perSecond(): number {
    const first = this.marks[0];
    const last = this.marks.at(-1);
    if (!first || !last || last.at - first.at < 200) return 0;
    return Math.max(0, ((last.done - first.done) / (last.at - first.at)) * 1000);
  }
}
