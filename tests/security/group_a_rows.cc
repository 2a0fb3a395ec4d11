#include "tests/security/rows.h"

namespace caisson::cri_test {

Rows RowsOfGroupA() {
  return {
      {"A1", "RuntimeBinaryTest.A1StagesRunASealedCopy"},
      {"A1", "RuntimeBinaryTest.A1WhatAContainerGetsHoldOfItCannotWrite"},
      {"A2", "RuntimeBinaryTest.A2StagesShareNoPageWithTheHostsFile"},
      {"A3", "LeakedFileTest.A3NoWorkingDirectoryIsAnOpenFile"},
      {"A3", "LeakedFileTest.A3NorThatOfAnImage"},
      {"A4", "LeakedFileTest.A4AnExecDoesNotFollowItsWorkingDirectory"},
      {"A5", "LeakedFileTest.A5NoProgramIsAnOpenFile"},
      {"A5", "LeakedFileTest.A5NorTheFirstOfAContainer"},
      {"A6", "LeakedFileTest.A6FilesOfAnInitAreCounted"},
      {"A6", "JoinTest.A6FilesOfAnExecAreCounted"},
      {"A6", "JoinTest.A6AKilledStageLeavesNothing"},
      {"A7", "JoinTest.A7NobodyLooksIntoAProcessThatJoins"},
      {"A7", "JoinTest.A7WhoMayTraceFindsNothingOfTheKeeper"},
      {"A7", "LeakedFileTest.A7NoExecIsCaughtInTheAct"},
      {"A7", "LeakedFileTest.A7WhoMayTraceFindsNoWayToTheHost"},
      {"A8", "JoinTest.A8NorWhereChangesOfIdsAllowIt"},
      {"A8", "JoinTest.A8NobodyLooksIntoAnInitThatIsSetUp"},
      {"A9", "LeakedFileTest.A9StandardFilesAreNoneOfTheImage"},
      {"A10", "ForeignCodeTest.A10NothingOfTheImageIsLoaded"},
      {"A11", "ForeignCodeTest.A11OnlyWhatIsAskedForIsRun"},
      {"A12", "ForeignCodeTest.A12APullRunsNoOtherProgram"},
      {"A13",
       "none: CdiFieldsTest and HostHooksTest of fields_cri_test have it"},
      {"A14", "RequestTest.A14TheOnlyTerminalIsTheContainersOwn"},
      {"A14", "RequestTest.A14WithoutOneThereIsNone"},
      {"A15", "RequestTest.A15SizesAreKeptOrRefused"},
      {"A15", "RequestTest.A15ManyMountsAreKept"},
      {"A15", "RequestTest.A15ALongMapIsRefused"},
      {"A16", "RequestTest.A16TheUserOfAnImageIsReadExactly"},
      {"A16", "RequestTest.A16TheUserOfARequestIsReadExactly"},
  };
}

}  // namespace caisson::cri_test
