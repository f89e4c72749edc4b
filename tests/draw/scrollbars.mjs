// Stands in for react-custom-scrollbars-2, which needs a real window to measure itself: a plain box.
import * as React from 'react';

export const Scrollbars = ({ children, style }) => React.createElement('div', { style: { overflow: 'hidden', ...style } }, children);
export default Scrollbars;
