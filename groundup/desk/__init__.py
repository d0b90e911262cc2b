"""The practice desk: exercises are cut from the topics, and the project's own tests check the answers.

- `cutter` finds the functions that a topic teaches and takes their bodies out.
- `substitute` puts the learner's file in the place of the real module, in the whole process.
- `session` runs inside pytest, `runner` starts and bounds it from outside; `describe` says what a failed test shows,
  `items` asks pytest's items small questions.
- `exercises` knows which test asks which function; `checking` turns results into "right" and "next to mend";
  `culprit` tries the real functions to find the guilty one: `swap` exchanges their code in a process that runs,
  `trials` runs the test with it.
- `honesty` finds answers that import what they should implement.
- `progress` keeps what was passed; `solution` shows the difference to the real file; `report` prints.
- `proof` shows that every exercise of a topic can be failed and passed, and that planted `mistakes` are named; `commands` is the command line.
"""
