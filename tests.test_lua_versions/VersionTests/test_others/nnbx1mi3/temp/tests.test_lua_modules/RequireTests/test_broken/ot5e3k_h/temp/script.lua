
require 'failing'