import type { InfiniteData } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { Page } from "../api/types";
import { Button } from "./controls";
import { LoadFailed } from "./messages";

interface Pages<T> {
  data: InfiniteData<Page<T>> | undefined;
  error: unknown;
  isError: boolean;
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  refetch: () => unknown;
  fetchNextPage: () => unknown;
}

interface PagesProps<T> {
  of: Pages<T>;
  waiting: string;
  /** Shown with every row that has been read. */
  children: (rows: T[]) => ReactNode;
}

/** A list that comes in pages: while it is read, where it cannot be read, and what more there is. */
export function InPages<T>({ of, waiting, children }: PagesProps<T>) {
  if (!of.data && of.isError) return <LoadFailed error={of.error} retry={of.refetch} />;
  if (!of.data)
    return (
      <div className="plates" role="status" aria-label={waiting}>
        <div className="plate skeleton" />
        <div className="plate skeleton" />
      </div>
    );
  return (
    <>
      {children(of.data.pages.flatMap((page) => page.results))}
      {of.hasNextPage && (
        <div className="more-jobs">
          <Button busy={of.isFetchingNextPage} onClick={() => of.fetchNextPage()}>
            Show more
          </Button>
        </div>
      )}
    </>
  );
}
