# Tests of CPython's own, one module of them: what becomes of each, as a line of JSON.
# suite.py MODULE FOLDER FIRST [NAME...]: from the test of that number on, or only those that are named.
import faulthandler, importlib, json, os, shutil, sys, time, unittest
module, folder, first, names = sys.argv[1], sys.argv[2], int(sys.argv[3]), set(sys.argv[4:])
out = os.fdopen(os.dup(1), 'w', buffering=1)
trouble = os.fdopen(os.dup(2), 'w', buffering=1)
null = os.open(os.devnull, os.O_RDWR); os.dup2(null, 1); os.dup2(null, 2); os.close(null)
os.umask(0o022); os.makedirs(folder, exist_ok=True); os.chdir(folder)
os.environ['TMPDIR'] = folder
from test import support
from test.support import os_helper
support.use_resources, support.verbose = ['cpu', 'subprocess'], 0
def tell(**facts): out.write(json.dumps(facts) + '\n')
def reason(err, test):
    words = '%s: %s' % (err[0].__name__, err[1])
    trouble.write('%s\n' % test); import traceback; traceback.print_exception(*err, file=trouble)
    return ' '.join(words.split())[:300]
class Result(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test); self.began, self.told = time.monotonic(), ('ok', '')
        tell(begins=test.id()); faulthandler.dump_traceback_later(60, exit=True, file=trouble)
    def stopTest(self, test):
        faulthandler.cancel_dump_traceback_later()
        if self.told[0] in ('error', 'failed'):
            # What it has left must not make the next one fail, too.
            os.chdir(folder)
            for name in os.listdir(folder): path = os.path.join(folder, name); shutil.rmtree(path, True) if os.path.isdir(path) else os.path.lexists(path) and os.unlink(path)
        tell(test=test.id(), outcome=self.told[0], why=self.told[1], seconds=round(time.monotonic() - self.began, 2)); super().stopTest(test)
    def note(self, test, outcome, why):
        if hasattr(test, '_testMethodName'): self.told = outcome, why
        else: tell(test=test.id(), outcome=outcome, why=why, seconds=0)
    def addError(self, test, err): self.note(test, 'error', reason(err, test))
    def addFailure(self, test, err): self.note(test, 'failed', reason(err, test))
    def addSubTest(self, test, sub, err):
        if err: self.told = ('failed' if issubclass(err[0], test.failureException) else 'error'), reason(err, sub)
    def addSkip(self, test, why): self.note(test, 'skipped', why)
    def addExpectedFailure(self, test, err): self.note(test, 'expected', '')
    def addUnexpectedSuccess(self, test): self.note(test, 'unexpected', '')
def flat(suite):
    for it in suite:
        if isinstance(it, unittest.TestSuite): yield from flat(it)
        else: yield it
try: suite = unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module('test.' + module))
except unittest.SkipTest as e: tell(test=module, outcome='skipped', why=str(e), seconds=0); os._exit(0)
chosen = [it for n, it in enumerate(flat(suite)) if n >= first and (not names or it.id() in names)]
unittest.TestSuite(chosen).run(Result())
tell(end=True); out.flush(); trouble.flush(); os._exit(0)
