/** Which frames are chosen; with shift, all from the last one on. */

import { SvelteSet } from "svelte/reactivity";

/** The frames in the order in which they are on the screen: all of them, or those that pass the sliders. */
export class Shown {
  constructor(
    private sequences: number[] | undefined,
    readonly count: number,
  ) {}

  at(index: number): number {
    return this.sequences ? (this.sequences[index] ?? -1) : index;
  }

  indexOf(sequence: number): number {
    return this.sequences ? this.sequences.indexOf(sequence) : sequence;
  }
}

export class Selection {
  readonly chosen = new SvelteSet<number>();
  private anchor?: number;

  toggle(sequence: number, shown: Shown, { isRange = false } = {}) {
    if (isRange && this.anchor !== undefined) {
      const ends = [shown.indexOf(this.anchor), shown.indexOf(sequence)];
      for (let index = Math.max(0, Math.min(...ends)); index <= Math.max(...ends); index++) {
        this.chosen.add(shown.at(index));
      }
    } else if (!this.chosen.delete(sequence)) {
      this.chosen.add(sequence);
    }
    this.anchor = sequence;
  }

  clear() {
    this.chosen.clear();
    this.anchor = undefined;
  }
}
