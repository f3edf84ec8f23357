/** Files that are dragged over the page from outside of it. */

interface Takers {
  /** Whether some are held over the page right now. */
  over: (over: boolean) => void;
  files: (files: File[]) => void;
}

const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;

const LISTENED = ["dragstart", "dragend", "dragover", "dragleave", "drop"] as const;

/** Takes files that are dropped anywhere on `page`. A picture of the page itself is not one. */
export function takeFiles(page: EventTarget, takers: Takers): () => void {
  let ours = false;
  return listen(page, (event) => {
    switch (event.type) {
      case "dragstart":
        ours = true;
        return;
      case "dragend":
        ours = false;
        return;
      case "dragleave":
        if (event.relatedTarget === null) takers.over(false);
        return;
    }
    if (ours || !hasFiles(event)) return;
    event.preventDefault();
    takers.over(event.type === "dragover");
    if (event.type === "dragover" && event.dataTransfer) event.dataTransfer.dropEffect = "copy";
    const files = event.type === "drop" ? [...(event.dataTransfer?.files ?? [])] : [];
    if (files.length > 0) takers.files(files);
  });
}

/** Keeps the browser from leaving the page for a file that is dropped where none is taken. */
export function refuseFiles(page: EventTarget): () => void {
  return listen(page, (event) => {
    // Who takes files may have been asked before.
    if (event.defaultPrevented || !hasFiles(event)) return;
    if (event.type === "dragover" && event.dataTransfer) event.dataTransfer.dropEffect = "none";
    if (event.type === "dragover" || event.type === "drop") event.preventDefault();
  });
}

function listen(page: EventTarget, on: (event: DragEvent) => void): () => void {
  for (const type of LISTENED) page.addEventListener(type, on as (event: Event) => void);
  return () => {
    for (const type of LISTENED) page.removeEventListener(type, on as (event: Event) => void);
  };
}
