# Names that mean another file than a moment ago: files that become directories, and what is renamed or removed while it is open.
import os
def show(name, deed):
    try: print(name, '->', deed())
    except Exception as e: print(name, '!!', type(e).__name__, getattr(e, 'errno', e), getattr(e, 'filename', ''))
B = '/data/out/replaced'; os.mkdir(B); os.chdir(B)
def write(path, text='x'):
    with open(path, 'w') as f: return f.write(text)
def read(path): return open(path).read()
def file_then_directory(): write('a'); read('a'); os.unlink('a'); os.mkdir('a'); write('a/b', 'in it'); return read('a/b'), os.listdir('a')
show('a file becomes a directory', file_then_directory)
def directory_then_file(): os.mkdir('c'); write('c/d'); os.listdir('c'); os.unlink('c/d'); os.rmdir('c'); write('c', 'file'); return read('c')
show('a directory becomes a file', directory_then_file)
def link_then_file(): write('t', 'target'); os.symlink('t', 'l'); read('l'); os.unlink('l'); write('l', 'own'); return read('t'), read('l')
show('a link becomes a file', link_then_file)
def again(): return [(write('e', str(n)), read('e'), os.unlink('e'), os.path.exists('e'))[1:] for n in range(5)]
show('the same name again and again', again)
def over(): write('f', 'old'); write('g', 'new'); f = open('f', 'r+'); os.replace('g', 'f'); return f.read(), read('f'), os.fstat(f.fileno()).st_nlink, os.path.exists('g')
show('replaced while it is open', over)
def removed():
    f = open('h', 'w+'); f.write('still here'); f.flush(); os.unlink('h'); f.seek(0); st = os.fstat(f.fileno()); os.ftruncate(f.fileno(), 5)
    return f.read(), st.st_nlink, st.st_size, os.fstat(f.fileno()).st_size, os.path.exists('h')
show('removed while it is open', removed)
def renamed_directory():
    os.makedirs('i/j'); write('i/j/k', 'deep'); d = os.open('i/j', os.O_RDONLY); os.rename('i', 'm')
    return read('m/j/k'), os.read(os.open('k', os.O_RDONLY, dir_fd=d), 9), os.stat('k', dir_fd=d).st_size, os.listdir(d), os.path.exists('i')
show('a directory is renamed while it is open', renamed_directory)
def renamed_here():
    os.makedirs('n/o'); os.chdir('n/o'); write('p', 'before'); os.rename(B + '/n', B + '/q'); got = os.getcwd(), read('p'), write('r'), sorted(os.listdir('.')), os.path.exists(B + '/n'); os.chdir(B); return got
show('the working directory is renamed', renamed_here)
def swapped(): os.mkdir('s'); os.mkdir('u'); write('s/x', 'of s'); write('u/x', 'of u'); read('s/x'), read('u/x'); os.rename('s', 'v'); os.rename('u', 's'); os.rename('v', 'u'); return read('s/x'), read('u/x')
show('two directories change places', swapped)
def gone():
    os.mkdir('w'); os.chdir('w'); os.rmdir(B + '/w')
    try: return os.getcwd()
    finally: os.chdir(B)
show('the working directory is removed', gone)
def open_directory(): os.mkdir('y'); d = os.open('y', os.O_RDONLY); os.rmdir('y'); os.mkdir('y'); write('y/z'); return os.listdir('y'), os.listdir(d)
show('a directory is removed while it is open', open_directory)
def linked(): write('1', 'one'); os.link('1', '2'); f = open('1', 'r+'); n = os.fstat(f.fileno()).st_nlink; os.unlink('1'); return n, os.fstat(f.fileno()).st_nlink, read('2')
show('a second name', linked)
def ended(): f = open('3', 'w+'); f.write('x' * 10000); f.flush(); os.truncate('3', 100); a = os.fstat(f.fileno()).st_size; f.seek(0); return a, len(f.read()), write('3', 'abc'), f.seek(0), f.read()
show('cut by its path while it is open', ended)
def listing(): d = B + '/4'; os.mkdir(d); a = os.listdir(d); write(d + '/5'); b = os.listdir(d); os.unlink(d + '/5'); return a, b, os.listdir(d)
show('listed before and after', listing)
os.chdir('/'); import shutil; shutil.rmtree(B)
